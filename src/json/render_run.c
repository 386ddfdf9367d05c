#include "json/render_internal.h"

#include "json/digits_internal.h"
#include "json/escape_internal.h"
#include "json/number.h"

#define RENDER_NAME(x) x##_portable
#define RENDER_TARGET
#define RENDER_AVX2 0
#include "json/render_kernel_internal.h"
#undef RENDER_NAME
#undef RENDER_TARGET
#undef RENDER_AVX2

#if defined(__x86_64__)
#define RENDER_NAME(x) x##_avx2
#define RENDER_TARGET ESCAPE_AVX2
#define RENDER_AVX2 1
#include "json/render_kernel_internal.h"
#else
enum row_way row_find_avx2(struct job *j)
{
	return row_find_portable(j);
}

uint8_t *plan_run_avx2(struct job *j, const struct plan *plan, uint8_t *p)
{
	return plan_run_portable(j, plan, p);
}

uint8_t *shape_walk_avx2(struct job *j, uint8_t *p)
{
	return shape_walk_portable(j, p);
}
#endif
