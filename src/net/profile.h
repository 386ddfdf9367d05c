/* The AWS configuration files: ~/.aws/credentials ([name]) and ~/.aws/config ([default], [profile name]).
 *
 * Promise: both files are read once, AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE say where; an absent file is an empty one. A key of the
 *   credentials file goes before the same key of the config file. Memory that held values is zeroed when freed.
 * Threads: read only after opening.
 */
#ifndef NET_PROFILE_H
#define NET_PROFILE_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct aws_profiles;
rc_t aws_profiles_open(struct aws_profiles **ret, struct err *reterr);
void aws_profiles_free(struct aws_profiles *p);
AUTO_DEFINE(aws_profiles, aws_profiles_free)
/* Changes when one of the files does (by size and time of change). */
uint64_t aws_profiles_stamp(void);
/* Is there a section for it in either file? */
bool aws_profile_exists(const struct aws_profiles *p, const char *profile);
/* NULL: not set. Lives as long as p. */
const char *aws_profile_get(const struct aws_profiles *p, const char *profile, const char *key);
/* `profile`, or AWS_PROFILE, or "default". */
const char *aws_profile_name(const char *profile);

#endif
