#include "store/probe.h"

#include <errno.h>
#include <string.h>

#define ABSENT_KEY "_hydrant/doctor/absent"
#define CONTENT_MAX 128
#define CREATE_TRIES 3 /* somebody else's probe removes ours now and then */
#define FORBIDDEN 403

const char *const store_right_names[STORE_RIGHTS] = { "list", "write", "read", "absent", "create", "abort", "delete" };

bool store_refused(const struct err *e)
{
	return e->status == FORBIDDEN || e->sys_errno == EACCES || e->sys_errno == EPERM || e->sys_errno == EROFS;
}

static void judge(struct store_probe *p, enum store_right right, rc_t rc, const struct err *e)
{
	p->found[right] = rc == RC_OK ? STORE_HAS : store_refused(e) ? STORE_LACKS : STORE_UNKNOWN;
	if (rc != RC_OK)
		p->why[right] = *e;
}

/* The first object of the lake that the probe did not write: who wrote one may read it for that alone, where objects have owners. */
struct sample {
	char key[STORE_KEY_MAX + 1];
};

static rc_t take_sample(void *ctx, const struct store_entry *entry, struct err *reterr)
{
	struct sample *sample = ctx;
	if (entry->is_folder || !entry->size || strlen(entry->key) > STORE_KEY_MAX || !strcmp(entry->key, STORE_PROBE_KEY))
		return RC_OK;
	memcpy(sample->key, entry->key, strlen(entry->key) + 1);
	return err_set(reterr, RC_CANCELLED, "one is enough");
}

static void try_list(struct store *s, struct store_probe *p, struct sample *sample)
{
	struct err e = { 0 };
	rc_t rc = store_list(s, "", take_sample, sample, &e);
	judge(p, STORE_RIGHT_LIST, sample->key[0] ? RC_OK : rc, &e);
}

/* One byte of an object that is there, or of none: who may not read is not told that it is absent. */
static void read_sample(struct store *s, struct store_probe *p, const struct sample *sample)
{
	struct err e = { 0 };
	uint8_t byte;
	rc_t rc = store_read(s, sample->key[0] ? sample->key : ABSENT_KEY, 0, 1, &byte, &e);
	judge(p, STORE_RIGHT_READ, rc == RC_NOT_FOUND ? RC_OK : rc, &e);
	if (rc != RC_OK && !sample->key[0] && p->found[STORE_RIGHT_READ] == STORE_LACKS)
		p->found[STORE_RIGHT_READ] = STORE_UNKNOWN; /* it may be the right to list that is lacking */
}

static void try_read(struct store *s, struct store_probe *p, struct slice wrote, const struct sample *sample)
{
	struct err e = { 0 };
	if (sample->key[0] || p->found[STORE_RIGHT_WRITE] != STORE_HAS)
		read_sample(s, p, sample);
	if (p->found[STORE_RIGHT_WRITE] != STORE_HAS || p->found[STORE_RIGHT_READ] != STORE_HAS)
		return;
	AUTO_BUF struct buf got;
	buf_init(&got, CONTENT_MAX);
	rc_t rc = store_get(s, STORE_PROBE_KEY, &got, &e);
	if (rc == RC_OK && (got.len != wrote.len || memcmp(got.data, wrote.data, wrote.len) != 0))
		rc = err_set(&e, RC_CONFLICT, "another doctor wrote its probe at the same moment, or the store gave back other bytes; run it again");
	judge(p, STORE_RIGHT_READ, rc, &e);
}

/* Without the right to list, a store says "refused" where it should say "absent": S3 does. */
static void try_absent(struct store *s, struct store_probe *p)
{
	struct err e = { 0 };
	uint64_t size;
	rc_t rc = store_size(s, ABSENT_KEY, &size, NULL, &e);
	judge(p, STORE_RIGHT_ABSENT, rc == RC_NOT_FOUND ? RC_OK : rc, &e);
	if (p->found[STORE_RIGHT_ABSENT] == STORE_LACKS && (p->found[STORE_RIGHT_READ] != STORE_HAS || p->found[STORE_RIGHT_LIST] == STORE_LACKS)) {
		p->found[STORE_RIGHT_ABSENT] = STORE_UNKNOWN; /* one missing statement is named once */
		err_set(&p->why[STORE_RIGHT_ABSENT], RC_AGAIN, "it hangs on the right to %s",
			p->found[STORE_RIGHT_LIST] == STORE_LACKS ? "list" : "read");
	}
}

static void try_create(struct store *s, struct store_probe *p)
{
	struct err e = { 0 };
	if (p->found[STORE_RIGHT_WRITE] != STORE_HAS) {
		p->found[STORE_RIGHT_CREATE] = STORE_UNKNOWN;
		err_set(&p->why[STORE_RIGHT_CREATE], RC_AGAIN, "it cannot be tried without the right to write");
		return;
	}
	rc_t rc = RC_OK;
	for (int i = 0; i < CREATE_TRIES && rc == RC_OK; i++)
		rc = store_put(s, STORE_PROBE_KEY, slice_str("this must not be written\n"), STORE_CREATE, &e);
	if (rc == RC_CONFLICT) {
		judge(p, STORE_RIGHT_CREATE, RC_OK, &e);
	} else if (rc == RC_OK) {
		p->found[STORE_RIGHT_CREATE] = STORE_LACKS;
		err_set(&p->why[STORE_RIGHT_CREATE], RC_UNSUPPORTED, "a create overwrote an object that was there");
	} else {
		judge(p, STORE_RIGHT_CREATE, rc, &e);
	}
}

static void try_abort(struct store *s, struct store_probe *p)
{
	struct err e = { 0 };
	bool begun = false;
	rc_t rc = RC_AGAIN;
	if (p->found[STORE_RIGHT_WRITE] == STORE_HAS)
		rc = store_check_abort(s, STORE_PROBE_KEY, &begun, &e);
	else
		err_set(&e, RC_AGAIN, "it cannot be tried without the right to write");
	judge(p, STORE_RIGHT_ABORT, rc, &e);
	if (rc != RC_OK && !begun)
		p->found[STORE_RIGHT_ABORT] = STORE_UNKNOWN;
}

static void try_delete(struct store *s, struct store_probe *p)
{
	struct err e = { 0 };
	rc_t rc = store_delete(s, STORE_PROBE_KEY, &e);
	judge(p, STORE_RIGHT_DELETE, rc, &e);
	p->left_behind = rc != RC_OK && p->found[STORE_RIGHT_WRITE] == STORE_HAS;
}

void store_probe_delete(struct store *s, const char *folder, struct store_probe *p)
{
	struct err e = { 0 };
	if (p->found[STORE_RIGHT_DELETE] != STORE_LACKS)
		return;
	AUTO_MEM char *key = mem_printf("%s/probe", folder);
	rc_t rc = store_delete(s, key, &e);
	judge(p, STORE_RIGHT_DELETE, rc, &e);
}

rc_t store_probe(struct store *s, struct store_probe *ret, struct err *reterr)
{
	*ret = (struct store_probe){ 0 };
	uint64_t id[2];
	store_random(s, id, sizeof id);
	AUTO_MEM char *text = mem_printf("hydrant doctor was here; this may be deleted. %016llx%016llx\n", (unsigned long long)id[0],
					 (unsigned long long)id[1]);
	struct sample sample = { { 0 } };
	try_list(s, ret, &sample);
	store_get_facts(s, &ret->facts);
	if (ret->found[STORE_RIGHT_LIST] == STORE_UNKNOWN) { /* nobody there, or nobody who knows us: each further try would end, and last, as long */
		for (int i = 0; i < STORE_RIGHTS; i++) {
			ret->found[i] = STORE_UNKNOWN;
			ret->why[i] = ret->why[STORE_RIGHT_LIST];
		}
		if (reterr)
			*reterr = ret->why[STORE_RIGHT_LIST];
		return ret->why[STORE_RIGHT_LIST].rc;
	}
	struct err e = { 0 };
	rc_t rc = store_put(s, STORE_PROBE_KEY, slice_str(text), STORE_REPLACE, &e);
	judge(ret, STORE_RIGHT_WRITE, rc, &e);
	try_read(s, ret, slice_str(text), &sample);
	try_absent(s, ret);
	try_create(s, ret);
	try_abort(s, ret);
	try_delete(s, ret);
	store_get_facts(s, &ret->facts);
	bool any_lacking = false;
	ret->all_refused = true;
	for (int i = 0; i < STORE_RIGHTS; i++) {
		any_lacking |= ret->found[i] == STORE_LACKS;
		ret->all_refused &= ret->found[i] != STORE_HAS;
	}
	ret->all_refused &= ret->found[STORE_RIGHT_WRITE] == STORE_LACKS;
	for (int i = 0; i < STORE_RIGHTS; i++) {
		if (ret->found[i] == STORE_UNKNOWN && !any_lacking) {
			if (reterr)
				*reterr = ret->why[i];
			return ret->why[i].rc;
		}
	}
	return RC_OK;
}
