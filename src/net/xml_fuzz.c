/* Any bytes as an answer of S3. */
#include "net/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static rc_t each(void *ctx, const char *path, struct slice text, struct err *reterr)
{
	size_t *sum = ctx;
	(void)reterr;
	*sum += strlen(path) + text.len;
	for (size_t i = 0; i < text.len; i++)
		*sum += text.data[i];
	return RC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t sum = 0;
	struct err err;
	xml_walk(slice_of(data, size), each, &sum, &err);
	return 0;
}
