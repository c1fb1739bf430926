/* SPDX-License-Identifier: Apache-2.0
 * The application's image in the storage: a header at offset 0 that says what belongs to it.
 *
 *   0      header, 256 bytes, its last word the marker
 *   512    segment 0: vectors, code, constants
 *   ...    further segments: weights, tokenizer, embedding
 *
 * toolchain/build/boot-image.ts writes it. An image is valid when the header is whole and the CRC of
 * every segment is right; the marker, which is programmed by itself and last, is the quick answer
 * where the host writes the header last.
 */
#ifndef LM2MCU_IMAGE_H
#define LM2MCU_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#define IMAGE_MAGIC 0x6D326D6Cu  /* "lm2m" */
#define IMAGE_MARKER 0x21444E45u /* "END!" */
#define IMAGE_HEADER_VERSION 1u
#define IMAGE_CODE_OFFSET 512u

enum { IMAGE_SEGMENTS = 4, IMAGE_NAME_BYTES = 32, IMAGE_SIGNATURE_BYTES = 64 };

typedef struct {
  uint32_t offset; /* in the storage */
  uint32_t bytes;  /* a multiple of 4 */
  uint32_t crc32;
} image_segment;

/* Little-endian; what is reserved is 0xFF. */
typedef struct {
  uint32_t magic;
  uint16_t header_version;
  uint16_t header_bytes;
  char board[IMAGE_NAME_BYTES]; /* zero padded */
  uint32_t version;             /* major << 24 | minor << 16 | patch */
  uint32_t run_address;         /* of the vectors */
  uint32_t copy_bytes;          /* of segment 0, to the run address; 0: it runs where it lies */
  uint32_t segment_count;
  image_segment segments[IMAGE_SEGMENTS];
  uint8_t reserved[80];
  uint8_t signature[IMAGE_SIGNATURE_BYTES]; /* reserved: nothing checks it */
  uint32_t header_crc32;                    /* of all before it */
  uint32_t marker;
} image_header;

_Static_assert(sizeof(image_header) == 256, "the header is 256 bytes");

/* The header of a valid image, or NULL. Reads all of it. */
const image_header *image_find(void);

#endif
