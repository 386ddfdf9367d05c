/* Public events of a code host, in the way of its hourly archives: pushes most of the time, now and then a pull request with both repositories in it. */
#include "line.h"

static const char *const languages[] = { "TypeScript", "Python", "JavaScript", "Go", "Rust", "Java", "C++", "C", "Ruby" };
static const char *const licenses[][3] = {
	{ "mit", "MIT License", "MIT" },
	{ "apache-2.0", "Apache License 2.0", "Apache-2.0" },
	{ "gpl-3.0", "GNU General Public License v3.0", "GPL-3.0" },
};
static const char *const things[] = { "app",	"api",	  "docs",   "web",  "core", "infra", "dotfiles",
				      "plugin", "server", "client", "data", "bot",  "site",  "tools" };
static const char *const associations[] = { "NONE", "CONTRIBUTOR", "MEMBER", "OWNER", "COLLABORATOR" };
static const char *const labels[] = { "bug", "enhancement", "dependencies", "documentation", "good first issue", "question" };
static const char *const topics[] = {
	"hacktoberfest", "cli", "react", "kubernetes", "machine-learning", "json", "parquet", "api"
};

#define API "https://api.github.example"
#define WEB "https://github.example"

static void put_repo_name(struct line *l, uint32_t repo)
{
	put_login(l, repo / 3);
	put(l, "/%s-%s", things[repo % COUNT(things)], things[repo / 7 % COUNT(things)]);
}

/* An id in the coded form: always the same for one number. */
static void put_node(struct line *l, const char *kind, uint32_t id)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint64_t h = (id + 1) * 0x9e3779b97f4a7c15u;
	put(l, "\"node_id\":\"%s_kwDO%c%c%c%c%c%c\"", kind, digits[h >> 58], digits[h >> 52 & 63], digits[h >> 46 & 63],
	    digits[h >> 40 & 63], digits[h >> 34 & 63], digits[h >> 28 & 63]);
}

/* "key":"<base>/repos/NAME<tail>" */
static void put_repo_url(struct line *l, const char *key, const char *base, uint32_t repo, const char *tail)
{
	put(l, "\"%s\":\"%s/", key, base);
	put_repo_name(l, repo);
	put(l, "%s\"", tail);
}

static void put_user(struct line *l, const char *key, uint32_t id)
{
	put(l, "\"%s\":{\"login\":\"", key);
	put_login(l, id);
	put(l, "\",\"id\":%u,", 1000 + id * 11);
	put_node(l, "U", id);
	put(l, ",\"avatar_url\":\"https://avatars.example/u/%u?v=4\",\"gravatar_id\":\"\",\"url\":\"" API "/users/",
	    1000 + id * 11);
	put_login(l, id);
	put_text(l, "\",\"html_url\":\"" WEB "/");
	put_login(l, id);
	put_text(l, "\",\"repos_url\":\"" API "/users/");
	put_login(l, id);
	put(l, "/repos\",\"type\":\"%s\",\"site_admin\":false}", id % 9 ? "User" : "Bot");
}

static void put_repo_urls(struct line *l, uint32_t repo)
{
	static const struct {
		const char *key, *tail;
	} urls[] = {
		{ "url", "" },
		{ "forks_url", "/forks" },
		{ "keys_url", "/keys{/key_id}" },
		{ "hooks_url", "/hooks" },
		{ "issue_events_url", "/issues/events{/number}" },
		{ "events_url", "/events" },
		{ "branches_url", "/branches{/branch}" },
		{ "tags_url", "/tags" },
		{ "blobs_url", "/git/blobs{/sha}" },
		{ "trees_url", "/git/trees{/sha}" },
		{ "statuses_url", "/statuses/{sha}" },
		{ "languages_url", "/languages" },
		{ "commits_url", "/commits{/sha}" },
		{ "comments_url", "/comments{/number}" },
		{ "contents_url", "/contents/{+path}" },
		{ "compare_url", "/compare/{base}...{head}" },
		{ "archive_url", "/{archive_format}{/ref}" },
		{ "issues_url", "/issues{/number}" },
		{ "pulls_url", "/pulls{/number}" },
		{ "labels_url", "/labels{/name}" },
		{ "releases_url", "/releases{/id}" },
	};
	for (unsigned i = 0; i < COUNT(urls); i++) {
		put_repo_url(l, urls[i].key, API "/repos", repo, urls[i].tail);
		put_text(l, ",");
	}
}

static void put_repo(struct line *l, uint32_t repo)
{
	uint32_t h = repo * 2654435761u, stars = (h >> 20) * (h >> 20) / 4096;
	const char *const *license = licenses[h % COUNT(licenses)];
	put(l, "\"repo\":{\"id\":%u,", 30000 + repo * 17);
	put_node(l, "R", repo);
	put(l, ",\"name\":\"%s-%s\",\"full_name\":\"", things[repo % COUNT(things)], things[repo / 7 % COUNT(things)]);
	put_repo_name(l, repo);
	put_text(l, "\",\"private\":false,");
	put_user(l, "owner", repo / 3);
	put_text(l, ",");
	put_repo_url(l, "html_url", WEB, repo, "");
	put_text(l, ",\"description\":");
	if (h & 4)
		put(l, "\"%s and %s in %s\",", things[h >> 8 & 7], things[h >> 11 & 7], languages[h >> 14 & 7]);
	else
		put_text(l, "null,");
	put(l, "\"fork\":%s,", h & 8 ? "true" : "false");
	put_repo_urls(l, repo);
	put_text(l, "\"created_at\":\"");
	put_time(l, -(int64_t)(h >> 4) * 1000000, false);
	put_text(l, "\",\"updated_at\":\"");
	put_time(l, -(int64_t)skewed(l, 90000) * 1000000, false);
	put_text(l, "\",\"pushed_at\":\"");
	put_time(l, -(int64_t)skewed(l, 9000) * 1000000, false);
	put_text(l, "\",");
	put_repo_url(l, "git_url", "git://github.example", repo, ".git");
	put_text(l, ",");
	put_repo_url(l, "ssh_url", "ssh://git@github.example", repo, ".git");
	put_text(l, ",");
	put_repo_url(l, "clone_url", WEB, repo, ".git");
	put(l,
	    ",\"homepage\":%s,\"size\":%u,\"stargazers_count\":%u,\"watchers_count\":%u,\"language\":", h & 16 ? "\"\"" : "null",
	    h >> 12, stars, stars);
	put(l, h & 32 ? "\"%s\"" : "null", languages[h >> 8 & 7]);
	put(l,
	    ",\"has_issues\":true,\"has_projects\":true,\"has_wiki\":%s,\"has_pages\":%s,\"forks_count\":%u,\"mirror_url\":null,"
	    "\"archived\":false,"
	    "\"disabled\":false,\"open_issues_count\":%u,\"license\":",
	    h & 64 ? "true" : "false", h & 128 ? "true" : "false", stars / 9, stars / 30);
	if (h & 256) {
		put(l, "{\"key\":\"%s\",\"name\":\"%s\",\"spdx_id\":\"%s\",\"url\":\"" API "/licenses/%s\",", license[0],
		    license[1], license[2], license[0]);
		put_node(l, "L", h % COUNT(licenses));
		put_text(l, "}");
	} else {
		put_text(l, "null");
	}
	put_text(l, ",\"allow_forking\":true,\"is_template\":false,\"topics\":[");
	for (unsigned i = 0; i < (h >> 9 & 3); i++)
		put(l, "%s\"%s\"", i ? "," : "", topics[(h >> (12 + 3 * i)) & 7]);
	put(l, "],\"visibility\":\"public\",\"default_branch\":\"%s\"}", h & 512 ? "main" : "master");
}

static void put_text_body(struct line *l, unsigned paragraphs)
{
	put_text(l, "\"body\":");
	if (!paragraphs) {
		put_text(l, "null");
		return;
	}
	put_text(l, "\"");
	for (unsigned i = 0; i < paragraphs; i++) {
		put_text(l, i ? "\\r\\n\\r\\n" : "");
		put_text(l, chance(l, 20) ? "### \\\"" : chance(l, 20) ? "- [ ] `" : "");
		put_words(l, 4, 60);
	}
	put_text(l, "\"");
}

static void put_labels(struct line *l, uint32_t repo)
{
	put_text(l, "\"labels\":[");
	for (unsigned i = 0, n = skewed(l, 4), first = below(l, COUNT(labels)); i < n; i++) {
		unsigned label = (first + i) % COUNT(labels);
		put(l, "%s{\"id\":%u,", i ? "," : "", repo * 31 + label);
		put_node(l, "LA", repo * 31 + label);
		put_text(l, ",");
		put_repo_url(l, "url", API "/repos", repo, "/labels/");
		l->len--; /* the label's name goes on in the URL */
		put(l, "%u\",\"name\":\"%s\",\"color\":\"%06x\",\"default\":%s,\"description\":%s}", label, labels[label],
		    label * 2654435u & 0xffffff, label < 2 ? "true" : "false",
		    label % 2 ? "null" : "\"Something is to be done\"");
	}
	put_text(l, "]");
}

static void put_numbered_url(struct line *l, const char *key, const char *base, uint32_t repo, const char *what, unsigned number,
			     const char *tail)
{
	put(l, "\"%s\":\"%s/", key, base);
	put_repo_name(l, repo);
	put(l, "/%s/%u%s\"", what, number, tail);
}

static void put_dates(struct line *l, bool closed)
{
	put_text(l, ",\"created_at\":\"");
	put_time(l, -(int64_t)skewed(l, 9000000) * 1000000, false);
	put_text(l, "\",\"updated_at\":\"");
	put_time(l, -1000000, false);
	put_text(l, "\",\"closed_at\":");
	if (closed) {
		put_text(l, "\"");
		put_time(l, -1000000, false);
		put_text(l, "\"");
	} else {
		put_text(l, "null");
	}
}

static void put_side(struct line *l, const char *key, uint32_t repo, uint32_t user)
{
	put(l, ",\"%s\":{\"label\":\"", key);
	put_login(l, user);
	put(l, ":%s\",\"ref\":\"%s\",\"sha\":\"", *key == 'b' ? "main" : "patch-1", *key == 'b' ? "main" : "patch-1");
	put_hex(l, 40);
	put_text(l, "\",");
	put_user(l, "user", user);
	put_text(l, ",");
	put_repo(l, repo);
	put_text(l, "}");
}

static void put_links(struct line *l, uint32_t repo, unsigned number)
{
	static const char *const tails[][2] = { { "self", "" },
						{ "commits", "/commits" },
						{ "comments", "/comments" },
						{ "review_comments", "/comments{/number}" } };
	put_text(l, ",\"_links\":{");
	for (unsigned i = 0; i < COUNT(tails); i++) {
		put(l, "%s\"%s\":{", i ? "," : "", tails[i][0]);
		put_numbered_url(l, "href", API "/repos", repo, "pulls", number, tails[i][1]);
		put_text(l, "}");
	}
	put_text(l, "}");
}

static void put_pull_request(struct line *l, uint32_t repo, uint32_t user)
{
	unsigned number = 1 + skewed(l, 9000), action = skewed(l, 3);
	bool merged = action == 1 && chance(l, 80);
	put(l, "{\"action\":\"%s\",\"number\":%u,\"pull_request\":{",
	    action == 0	  ? "opened"
	    : action == 1 ? "closed"
			  : "reopened",
	    number);
	put_numbered_url(l, "url", API "/repos", repo, "pulls", number, "");
	put(l, ",\"id\":%u,", 1700000000 + below(l, 300000000));
	put_node(l, "PR", (uint32_t)any(l));
	put_text(l, ",");
	put_numbered_url(l, "html_url", WEB, repo, "pull", number, "");
	put_text(l, ",");
	put_numbered_url(l, "diff_url", WEB, repo, "pull", number, ".diff");
	put_text(l, ",");
	put_numbered_url(l, "issue_url", API "/repos", repo, "issues", number, "");
	put(l, ",\"number\":%u,\"state\":\"%s\",\"locked\":false,\"title\":\"", number, action == 1 ? "closed" : "open");
	put_words(l, 3, 12);
	put_text(l, "\",");
	put_user(l, "user", user);
	put_text(l, ",");
	put_text_body(l, skewed(l, 5));
	put_dates(l, action == 1);
	put_text(l, ",\"merged_at\":");
	if (merged) {
		put_text(l, "\"");
		put_time(l, -1000000, false);
		put_text(l, "\"");
	} else {
		put_text(l, "null");
	}
	put_text(l, ",\"merge_commit_sha\":");
	if (chance(l, 70)) {
		put_text(l, "\"");
		put_hex(l, 40);
		put_text(l, "\"");
	} else {
		put_text(l, "null");
	}
	put_text(l, ",\"assignee\":null,\"assignees\":[],\"requested_reviewers\":[],");
	put_labels(l, repo);
	put(l, ",\"milestone\":null,\"draft\":%s", chance(l, 10) ? "true" : "false");
	put_side(l, "head", chance(l, 50) ? repo : repo ^ 1023, user);
	put_side(l, "base", repo, repo / 3);
	put_links(l, repo, number);
	put(l,
	    ",\"author_association\":\"%s\",\"auto_merge\":null,\"merged\":%s,\"mergeable\":%s,\"comments\":%u,\"review_"
	    "comments\":%u,\"commits\":%u,"
	    "\"additions\":%u,\"deletions\":%u,\"changed_files\":%u}}",
	    PICK(l, associations), merged ? "true" : "false", merged ? "null" : "true", skewed(l, 20), skewed(l, 30),
	    1 + skewed(l, 20), skewed(l, 4000), skewed(l, 2000), 1 + skewed(l, 90));
}

static void put_issue(struct line *l, uint32_t repo, uint32_t user)
{
	static const char *const reactions[] = { "+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes" };
	unsigned number = 1 + skewed(l, 9000);
	bool closed = chance(l, 30);
	put_text(l, "\"issue\":{");
	put_numbered_url(l, "url", API "/repos", repo, "issues", number, "");
	put_text(l, ",");
	put_repo_url(l, "repository_url", API "/repos", repo, "");
	put_text(l, ",");
	put_numbered_url(l, "comments_url", API "/repos", repo, "issues", number, "/comments");
	put_text(l, ",");
	put_numbered_url(l, "html_url", WEB, repo, "issues", number, "");
	put(l, ",\"id\":%u,", 2000000000 + below(l, 300000000));
	put_node(l, "I", (uint32_t)any(l));
	put(l, ",\"number\":%u,\"title\":\"", number);
	put_words(l, 3, 14);
	put_text(l, "\",");
	put_user(l, "user", user);
	put_text(l, ",");
	put_labels(l, repo);
	put(l, ",\"state\":\"%s\",\"locked\":false,\"assignee\":null,\"milestone\":null,\"comments\":%u",
	    closed ? "closed" : "open", skewed(l, 40));
	put_dates(l, closed);
	put(l, ",\"author_association\":\"%s\",\"active_lock_reason\":null,", PICK(l, associations));
	put_text_body(l, skewed(l, 6));
	put_text(l, ",\"reactions\":{");
	put_numbered_url(l, "url", API "/repos", repo, "issues", number, "/reactions");
	put_text(l, ",\"total_count\":0");
	for (unsigned i = 0; i < COUNT(reactions); i++)
		put(l, ",\"%s\":%u", reactions[i], chance(l, 5));
	put(l, "},\"state_reason\":%s}", closed ? "\"completed\"" : "null");
}

static void put_comment(struct line *l, uint32_t repo, uint32_t user)
{
	unsigned id = 1500000000 + below(l, 400000000);
	put_text(l, ",\"comment\":{");
	put_numbered_url(l, "url", API "/repos", repo, "issues/comments", id, "");
	put_text(l, ",");
	put_numbered_url(l, "html_url", WEB, repo, "issues", 1 + skewed(l, 9000), "#issuecomment");
	put(l, ",\"id\":%u,", id);
	put_node(l, "IC", id);
	put_text(l, ",");
	put_user(l, "user", user);
	put_text(l, ",\"created_at\":\"");
	put_time(l, -1000000, false);
	put_text(l, "\",\"updated_at\":\"");
	put_time(l, -1000000, false);
	put(l, "\",\"author_association\":\"%s\",", PICK(l, associations));
	put_text_body(l, 1 + skewed(l, 4));
	put_text(l, ",\"performed_via_github_app\":null}");
}

static void put_push(struct line *l, uint32_t repo, uint32_t user)
{
	unsigned commits = chance(l, 5) ? 0 : 1 + skewed(l, 6), branch = skewed(l, 30);
	put(l, "{\"repository_id\":%u,\"push_id\":%u,\"size\":%u,\"distinct_size\":%u,\"ref\":\"refs/heads/", 30000 + repo * 17,
	    1100000000 + below(l, 900000000), commits, commits);
	if (branch > 1)
		put(l, "feature/%s-%u\",\"head\":\"", things[branch % COUNT(things)], below(l, 2000));
	else
		put(l, "%s\",\"head\":\"", branch ? "master" : "main");
	put_hex(l, 40);
	put_text(l, "\",\"before\":\"");
	put_hex(l, 40);
	put_text(l, "\",\"commits\":[");
	for (unsigned i = 0; i < commits; i++) {
		put_text(l, i ? ",{\"sha\":\"" : "{\"sha\":\"");
		size_t sha = l->len;
		put_hex(l, 40);
		put_text(l, "\",\"author\":{\"email\":\"");
		put_login(l, user);
		put_text(l, "@users.noreply.example\",\"name\":\"");
		put_login(l, user);
		put_text(l, "\"},\"message\":\"");
		put_words(l, 2, 14);
		if (chance(l, 15)) {
			put_text(l, "\\n\\n");
			put_words(l, 5, 30);
		}
		put(l, "\",\"distinct\":%s,\"url\":\"" API "/repos/", chance(l, 95) ? "true" : "false");
		put_repo_name(l, repo);
		put(l, "/commits/%.40s\"}", l->text + sha);
	}
	put_text(l, "]}");
}

static void put_release(struct line *l, uint32_t repo, uint32_t user)
{
	unsigned id = 90000000 + below(l, 90000000);
	put_text(l, "{\"action\":\"published\",\"release\":{");
	put_numbered_url(l, "url", API "/repos", repo, "releases", id, "");
	put_text(l, ",");
	put_numbered_url(l, "assets_url", API "/repos", repo, "releases", id, "/assets");
	put(l,
	    ",\"id\":%u,\"tag_name\":\"v%u.%u.%u\",\"target_commitish\":\"main\",\"name\":\"v%u\",\"draft\":false,\"prerelease\":"
	    "%s,",
	    id, skewed(l, 9), skewed(l, 40), skewed(l, 30), skewed(l, 9), chance(l, 20) ? "true" : "false");
	put_user(l, "author", user);
	put_text(l, ",\"published_at\":\"");
	put_time(l, -1000000, false);
	put_text(l, "\",");
	put_text_body(l, 1 + skewed(l, 6));
	put_text(l, "}}");
}

static void put_small(struct line *l, const char *type, uint32_t repo)
{
	if (*type == 'C')
		put(l, "{\"ref\":%s,\"ref_type\":\"%s\",\"master_branch\":\"main\",\"description\":%s,\"pusher_type\":\"user\"}",
		    chance(l, 60) ? "\"patch-1\"" : "null", chance(l, 60) ? "branch" : "repository",
		    repo & 1 ? "\"a small thing\"" : "null");
	else if (*type == 'D')
		put(l, "{\"ref\":\"feature/%s-%u\",\"ref_type\":\"branch\",\"pusher_type\":\"user\"}", EVENLY(l, things),
		    below(l, 2000));
	else if (*type == 'W')
		put_text(l, "{\"action\":\"started\"}");
	else
		put_text(l, "{}");
}

static void put_payload(struct line *l, const char *type, uint32_t repo, uint32_t user)
{
	put_text(l, "},\"payload\":");
	if (*type == 'P' && type[2] == 's') { /* PushEvent */
		put_push(l, repo, user);
	} else if (*type == 'P' && type[2] == 'l') { /* PullRequestEvent */
		put_pull_request(l, repo, user);
	} else if (*type == 'I') {
		put(l, "{\"action\":\"%s\",",
		    type[5] == 'C' ? "created" : EVENLY(l, ((const char *const[]){ "opened", "closed", "reopened" })));
		put_issue(l, repo, user);
		if (type[5] == 'C')
			put_comment(l, repo, user);
		put_text(l, "}");
	} else if (*type == 'R') {
		put_release(l, repo, user);
	} else {
		put_small(l, type, repo);
	}
}

void github_make(struct line *l)
{
	static const struct {
		unsigned below; /* of 1,000 */
		const char *type;
	} types[] = { { 610, "PushEvent" },   { 740, "CreateEvent" },	   { 830, "WatchEvent" },
		      { 870, "DeleteEvent" }, { 923, "PullRequestEvent" }, { 958, "IssueCommentEvent" },
		      { 980, "IssuesEvent" }, { 990, "ReleaseEvent" },	   { 1000, "PublicEvent" } };
	unsigned dice = below(l, 1000), t = 0;
	while (dice >= types[t].below)
		t++;
	uint32_t repo = skewed(l, 3000000), user = chance(l, 50) ? repo / 3 : skewed(l, 1000000);
	put(l, "{\"id\":\"%llu\",\"type\":\"%s\",\"actor\":{\"id\":%u,\"login\":\"",
	    (unsigned long long)(34000000000 + l->number * 3 + below(l, 3)), types[t].type, 1000 + user * 11);
	put_login(l, user);
	put_text(l, "\",\"display_login\":\"");
	put_login(l, user);
	put_text(l, "\",\"gravatar_id\":\"\",\"url\":\"" API "/users/");
	put_login(l, user);
	put(l, "\",\"avatar_url\":\"https://avatars.example/u/%u?\"},\"repo\":{\"id\":%u,\"name\":\"", 1000 + user * 11,
	    30000 + repo * 17);
	put_repo_name(l, repo);
	put_text(l, "\",");
	put_repo_url(l, "url", API "/repos", repo, "");
	put_payload(l, types[t].type, repo, user);
	put_text(l, ",\"public\":true,\"created_at\":\"");
	put_time(l, 0, false);
	put_text(l, "\"");
	if (chance(l, 25)) {
		put(l, ",\"org\":{\"id\":%u,\"login\":\"", 1000 + repo / 3 * 11);
		put_login(l, repo / 3);
		put_text(l, "\",\"gravatar_id\":\"\",\"url\":\"" API "/orgs/");
		put_login(l, repo / 3);
		put(l, "\",\"avatar_url\":\"https://avatars.example/u/%u?\"}", 1000 + repo / 3 * 11);
	}
}
