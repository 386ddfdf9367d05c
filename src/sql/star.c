#include "sql/star_internal.h"

#include <jansson.h>
#include <strings.h>

/* Names of CTEs in scope: they hide tables. */
struct scope {
	const struct scope *outer;
	json_t *cte_map; /* {"map":[{"key":name,…},…]} or NULL */
};

/* One table in a FROM clause. */
struct relation {
	const char *name; /* as the statement calls it */
	const struct request_table *table;
	size_t aliased;   /* columns that an alias list renames */
};

#define RELATIONS_MAX 64 /* in one FROM clause; more are left as they are */

struct walk {
	const struct request *request;
	bool changed;
};

struct from {
	struct relation items[RELATIONS_MAX];
	size_t n;
};

static void walk_node(struct walk *w, json_t *node, const struct scope *scope);

static const char *text_of(json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));
	return s ? s : "";
}

static bool is_type(json_t *object, const char *type)
{
	return strcmp(text_of(object, "type"), type) == 0;
}

static bool is_cte(const struct scope *scope, const char *name)
{
	for (; scope; scope = scope->outer) {
		size_t i;
		json_t *entry;
		json_array_foreach(json_object_get(scope->cte_map, "map"), i, entry)
			if (strcasecmp(text_of(entry, "key"), name) == 0)
				return true;
	}
	return false;
}

/* The collection that a BASE_TABLE names, if it is one with something to hide. */
static const struct request_table *table_of(struct walk *w, json_t *ref, const struct scope *scope)
{
	const char *name = text_of(ref, "table_name"), *schema = text_of(ref, "schema_name");
	if (!is_type(ref, "BASE_TABLE") || (*schema && strcasecmp(schema, "main") != 0) || (!*schema && is_cte(scope, name)))
		return NULL;
	for (uint32_t i = 0; i < w->request->n_tables; i++) {
		const struct request_table *t = &w->request->tables[i];
		if (t->hidden.n && t->visible && strcasecmp(t->name, name) == 0)
			return t;
	}
	return NULL;
}

static void add_relation(struct walk *w, json_t *ref, const struct scope *scope, struct from *from)
{
	const struct request_table *t = table_of(w, ref, scope);
	if (!t || from->n == RELATIONS_MAX)
		return;
	const char *alias = text_of(ref, "alias");
	from->items[from->n++] = (struct relation){
		.name = *alias ? alias : text_of(ref, "table_name"),
		.table = t,
		.aliased = json_array_size(json_object_get(ref, "column_name_alias")),
	};
}

/* The collections that stand in a FROM clause themselves (not in a subquery). */
static void collect(struct walk *w, json_t *ref, const struct scope *scope, struct from *from)
{
	if (is_type(ref, "JOIN")) {
		collect(w, json_object_get(ref, "left"), scope, from);
		collect(w, json_object_get(ref, "right"), scope, from);
	} else {
		add_relation(w, ref, scope, from);
	}
}

/* Whether a list of names, {"key":name,…} or {"table":…,"column":name} holds the column (of that table). */
static bool listed(json_t *array, const char *table, const char *column)
{
	size_t i;
	json_t *item;
	json_array_foreach(array, i, item) {
		json_t *qualified = json_object_get(item, "column");
		const char *name = json_is_string(item) ? json_string_value(item) : text_of(item, qualified ? "column" : "key");
		const char *of = text_of(item, "table");
		if (strcasecmp(name, column) == 0 && (!*of || strcasecmp(of, table) == 0))
			return true;
	}
	return false;
}

/* What the statement itself leaves out, replaces or renames stays as it says. */
static bool is_mentioned(json_t *star, const char *table, const char *column)
{
	static const char *const lists[] = { "exclude_list", "qualified_exclude_list", "replace_list", "rename_list" };
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (listed(json_object_get(star, lists[i]), table, column))
			return true;
	return false;
}

static json_t *array_in(json_t *object, const char *key)
{
	json_t *array = json_object_get(object, key);
	if (!json_is_array(array)) {
		array = json_array();
		json_object_set_new(object, key, array);
	}
	return array;
}

static void hide_in_star(struct walk *w, json_t *star, const struct from *from)
{
	const char *relation = text_of(star, "relation_name");
	for (size_t i = 0; i < from->n; i++) {
		const struct relation *r = &from->items[i];
		if (*relation && strcasecmp(relation, r->name) != 0)
			continue;
		for (uint32_t j = 0; j < r->table->hidden.n; j++) {
			const char *column = r->table->hidden.items[j];
			if (r->table->visible + j < r->aliased || is_mentioned(star, r->name, column))
				continue;
			if (*relation)
				json_array_append_new(array_in(star, "exclude_list"), json_string(column));
			else
				json_array_append_new(array_in(star, "qualified_exclude_list"),
						      json_pack("{s:s,s:s}", "table", r->name, "column", column));
			w->changed = true;
		}
	}
}

/* The stars of one expression of a SELECT list; those of its subqueries have their own FROM. */
static void hide_in_expression(struct walk *w, json_t *e, const struct from *from)
{
	if (json_is_array(e)) {
		size_t i;
		json_t *item;
		json_array_foreach(e, i, item)
			hide_in_expression(w, item, from);
	} else if (json_is_object(e)) {
		const char *class = text_of(e, "class");
		if (strcmp(class, "SUBQUERY") == 0)
			return;
		if (strcmp(class, "STAR") == 0) {
			/* COLUMNS('regex') and COLUMNS(lambda) choose for themselves. */
			if (!json_is_true(json_object_get(e, "columns")) || !json_is_object(json_object_get(e, "expr")))
				hide_in_star(w, e, from);
			return;
		}
		const char *key;
		json_t *item;
		json_object_foreach(e, key, item)
			hide_in_expression(w, item, from);
	}
}

/* ref becomes (SELECT * FROM ref) AS its name, so that what takes all columns of ref takes the visible ones. */
static void wrap(struct walk *w, json_t *owner, const char *key, const struct scope *scope)
{
	json_t *ref = json_object_get(owner, key);
	if (!json_is_object(ref) || !table_of(w, ref, scope))
		return;
	const char *alias = text_of(ref, "alias");
	/* DuckDB reads its own trees only with these members there, empty or not. */
	json_t *wrapped = json_pack("{s:s, s:s, s:{s:{s:s, s:[], s:{s:[]}, s:[{s:s, s:s, s:[], s:[]}], s:O, s:[], s:[], s:s}}, s:[]}", "type", "SUBQUERY",
				    "alias", *alias ? alias : text_of(ref, "table_name"), "subquery", "node", "type", "SELECT_NODE", "modifiers", "cte_map",
				    "map", "select_list", "class", "STAR", "type", "STAR", "exclude_list", "replace_list", "from_table", ref,
				    "group_expressions", "group_sets", "aggregate_handling", "STANDARD_HANDLING", "column_name_alias");
	if (wrapped)
		json_object_set_new(owner, key, wrapped);
}

static void walk_select(struct walk *w, json_t *node, const struct scope *scope)
{
	struct from from = { .n = 0 };
	collect(w, json_object_get(node, "from_table"), scope, &from);
	if (from.n)
		hide_in_expression(w, json_object_get(node, "select_list"), &from);
}

/* json_loads bounds the depth of what it gives (2,048), and with it this recursion. */
static void walk_node(struct walk *w, json_t *node, const struct scope *scope)
{
	if (json_is_array(node)) {
		size_t i;
		json_t *item;
		json_array_foreach(node, i, item)
			walk_node(w, item, scope);
		return;
	}
	if (!json_is_object(node) || is_type(node, "SHOW_REF")) /* DESCRIBE and SUMMARIZE show everything */
		return;
	struct scope own = { scope, json_object_get(node, "cte_map") };
	if (own.cte_map)
		scope = &own;
	if (is_type(node, "PIVOT"))
		wrap(w, node, "source", scope);
	if (is_type(node, "JOIN") && strcmp(text_of(node, "ref_type"), "NATURAL") == 0) {
		wrap(w, node, "left", scope);
		wrap(w, node, "right", scope);
	}
	const char *key;
	json_t *item;
	json_object_foreach(node, key, item)
		walk_node(w, item, scope);
	if (is_type(node, "SELECT_NODE"))
		walk_select(w, node, scope);
}

void star_rewrite(struct slice tree, const struct request *r, char **ret)
{
	*ret = NULL;
	json_t *root = json_loadb((const char *)tree.data, tree.len, 0, NULL);
	if (!root)
		return;
	struct walk w = { .request = r };
	if (!json_is_true(json_object_get(root, "error"))) {
		walk_node(&w, root, NULL);
		if (w.changed)
			*ret = json_dumps(root, JSON_COMPACT);
	}
	json_decref(root);
}
