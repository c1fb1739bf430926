/* SPDX-License-Identifier: Apache-2.0
 * BPE of texts in a normal form of Unicode. */
#ifndef LM_BPE_NORMALIZED_H
#define LM_BPE_NORMALIZED_H

#define LM_NORMALIZES
#include "bpe.h"

#endif
