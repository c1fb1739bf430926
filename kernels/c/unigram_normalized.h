/* SPDX-License-Identifier: Apache-2.0
 * Unigram of texts in a normal form of Unicode. */
#ifndef LM_UNIGRAM_NORMALIZED_H
#define LM_UNIGRAM_NORMALIZED_H

#define LM_NORMALIZES
#include "unigram.h"

#endif
