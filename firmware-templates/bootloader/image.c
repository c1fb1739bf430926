/* SPDX-License-Identifier: Apache-2.0
 * Every number of a header is checked before it is used: the storage may hold anything. */
#include "image.h"

#include <stddef.h>

#include "board.h"
#include "crc32.h"
#include "protocol.h"
#include "storage.h"

static bool is_inside(uint32_t offset, uint32_t bytes, uint32_t start, uint32_t size) {
  return offset >= start && offset - start <= size && bytes <= size - (offset - start);
}

static bool is_for_this_board(const image_header *header) {
  static const char name[IMAGE_NAME_BYTES] = BOARD_NAME;
  for (uint32_t i = 0; i < IMAGE_NAME_BYTES; i++) {
    if (header->board[i] != name[i]) return false;
  }
  return true;
}

static bool is_header_right(const image_header *header) {
  return header->marker == IMAGE_MARKER && header->magic == IMAGE_MAGIC &&
         header->header_version == IMAGE_HEADER_VERSION &&
         header->header_bytes == sizeof(image_header) &&
         header->header_crc32 == crc32_of(CRC32_START, (const uint8_t *)header,
                                          offsetof(image_header, header_crc32)) &&
         is_for_this_board(header) && header->segment_count >= 1u &&
         header->segment_count <= IMAGE_SEGMENTS;
}

/* Whoever made the header meant it, but a wrong one must not make the bootloader fault. */
static bool is_start_possible(const image_header *header) {
  const image_segment *code = &header->segments[0];
  if (header->copy_bytes == 0) {
    return header->run_address == BOARD_STORAGE_ORIGIN + code->offset;
  }
  return header->copy_bytes <= code->bytes && header->copy_bytes % 4u == 0 &&
         is_inside(header->run_address, header->copy_bytes, BOARD_COPY_ORIGIN, BOARD_COPY_BYTES);
}

static bool is_segment_right(const image_segment *segment) {
  const uint32_t after_header = sizeof(image_header);
  return segment->offset % 4u == 0 && segment->bytes % 4u == 0 &&
         is_inside(segment->offset, segment->bytes, after_header,
                   BOARD_STORAGE_BYTES - after_header) &&
         segment->crc32 == crc32_of(CRC32_START, storage_at(segment->offset), segment->bytes);
}

const image_header *image_find(void) {
  const image_header *header = (const image_header *)(const void *)storage_at(0);
  if (!is_header_right(header) || !is_start_possible(header)) return NULL;
  for (uint32_t i = 0; i < header->segment_count; i++) {
    if (!is_segment_right(&header->segments[i])) return NULL;
  }
  return header;
}

/* The marker goes last. */
bool served_program(uint32_t offset, const uint8_t *bytes, uint32_t count) {
  const uint32_t marker = offsetof(image_header, marker);
  if (!is_inside(marker, sizeof(uint32_t), offset, count)) {
    return storage_program_checked(offset, bytes, count);
  }
  const uint32_t before = marker - offset;
  const uint32_t behind = before + (uint32_t)sizeof(uint32_t);
  return storage_program_checked(offset, bytes, before) &&
         storage_program_checked(offset + behind, bytes + behind, count - behind) &&
         storage_program_checked(marker, bytes + before, sizeof(uint32_t));
}

bool served_may_go(uint32_t offset) {
  const bool is_start = offset == 0 || offset == IMAGE_CODE_OFFSET;
  return is_start && image_find() != NULL;
}
