/* The checksum of a page: CRC-32 as in gzip (polynomial 0x04C11DB7, reflected), the value so far first, 0 at the start. */
#ifndef PARQUET_PAGE_CRC_H
#define PARQUET_PAGE_CRC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint32_t page_crc(uint32_t crc, const void *data, size_t len);
/* Whether carry-less multiplication is used: at the start if the processor has it. The values are the same. For tests. */
void page_crc_use_simd(bool use);

#endif
