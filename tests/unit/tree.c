/* Trees: nodes by name and path, hostile names, many nodes, and what they cost. */
#include "decoders/base/tree.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <time.h>

static void done(struct tree **tree)
{
	tree_free(tree);
}
#define AUTO_TREE __attribute__((cleanup(done))) struct tree

static struct node *named(struct tree *tree, const char *name, bool *duplicate)
{
	struct node *node = NULL;

	CHECK_INT(tree_name(tree, tree->root, name, strlen(name), &node, duplicate, NULL),
		0);
	return node;
}

static bool path_is(const struct node *node, const char *want)
{
	AUTO_TEXT path = {0};

	tree_path(node, &path);
	return CHECK_STR(path.len > 0 ? path.bytes : "", want);
}

static void making(void)
{
	AUTO_TREE *tree = NULL;
	struct node *node, *folder;
	struct value *value;
	struct error err = {0};
	bool duplicate = false;

	unit_begin("names make folders and tensors, which are found by path");
	CHECK_INT(tree_new(&tree, '.', &err), 0);
	node = named(tree, "a.b.weight", &duplicate);
	CHECK(node != NULL && node->kind == NODE_TENSOR && !duplicate);
	CHECK_STR(node->name, "weight");
	path_is(node, "a/b/weight");
	CHECK(tree_at(tree, "a/b/weight.bin") == node);
	CHECK(tree_at(tree, "a/b/weight.json") == node);
	CHECK(tree_at(tree, "a/b/weight") == node);
	CHECK(tree_at(tree, "a/b") == node->parent);
	CHECK(tree_at(tree, "") == tree->root);
	CHECK(tree_at(tree, "a/c/weight.bin") == NULL);
	CHECK(tree_at(tree, "a/b/weight.bin/x") == NULL);

	unit_begin("a folder and a tensor share a name, a folder and a document do not");
	CHECK_INT(tree_folder(tree, tree->root, "t", &folder, &err), 0);
	CHECK_INT(tree_tensor(tree, tree->root, "t", &node, &err), 0);
	CHECK_INT(tree_value(tree, 7, &value, &err), 0);
	CHECK_INT(
		tree_document(tree, tree->root, "d.json", value, "/x", NULL, &node, &err),
		0);
	CHECK(node->view->value == value && value->views == node->view);
	CHECK_INT(tree_folder(tree, tree->root, "t", &node, &err), -EEXIST);
	CHECK_INT(tree_folder(tree, tree->root, "d.json", &node, &err), -EEXIST);

	unit_begin("no tensor gets a name whose files are there already");
	CHECK_INT(tree_tensor(tree, tree->root, "d", &node, &err), -EEXIST);
	CHECK_STR(err.text, "d: the name is taken");
	CHECK_INT(tree_link(tree, tree->root, "t.bin", "x", &node, &err), -EEXIST);
	CHECK_INT(tree_link(tree, tree->root, "l.bin", "t.bin", &node, &err), 0);
	CHECK_INT(tree_tensor(tree, tree->root, "l", &node, &err), -EEXIST);
}

static void duplicates(void)
{
	AUTO_TREE *tree = NULL;
	struct node *node = NULL;
	bool duplicate = false;
	char name[251];

	unit_begin("names that occur again are numbered");
	CHECK_INT(tree_new(&tree, '.', NULL), 0);
	(void)named(tree, "a.w", &duplicate);
	CHECK(!duplicate);
	path_is(named(tree, "a.w", &duplicate), "a/w%=2");
	CHECK(duplicate);
	for (int i = 3; i <= 20000; i++)
		node = named(tree, "a.w", &duplicate);
	path_is(node, "a/w%=20000");
	CHECK_INT(tree_count(node->parent), 20000);

	unit_begin("a number that no longer fits stands in a folder");
	memset(name, 'n', 250);
	name[250] = '\0';
	node = named(tree, name, NULL);
	CHECK_INT(strlen(node->name), 250);
	node = named(tree, name, &duplicate);
	CHECK_STR(node->name, "%=2");
	CHECK_STR(node->parent->name + 250, "%+");
	node = named(tree, name, &duplicate);
	CHECK_STR(node->name, "%=3");
}

static void order(void)
{
	AUTO_TREE *tree = NULL;
	struct node *node, *folder = NULL;
	struct error err = {0};
	AUTO_TEXT walk = {0};
	char deep[2 * TREE_DEPTH_MAX + 8];

	unit_begin("children stay in the container's order, and a walk visits each once");
	CHECK_INT(tree_new(&tree, '.', NULL), 0);
	(void)named(tree, "z.b", NULL);
	(void)named(tree, "a", NULL);
	(void)named(tree, "z.a.x", NULL);
	CHECK_INT(tree_folder(tree, tree->root, "empty", &folder, NULL), 0);
	for (node = tree->root; node != NULL; node = tree_walk(tree->root, node)) {
		text_puts(&walk, node->name);
		text_putc(&walk, ' ');
	}
	CHECK_STR(walk.bytes, " z b a x a empty ");
	CHECK(tree_walk(folder, folder) == NULL);

	unit_begin("a name cannot ask for any number of folders");
	memset(deep, '.', sizeof deep);
	CHECK_INT(
		tree_name(tree, tree->root, deep, TREE_DEPTH_MAX, &node, NULL, &err), 0);
	CHECK_INT(tree_name(tree, tree->root, deep, sizeof deep, &node, NULL, &err),
		-ENAMETOOLONG);
	CHECK_INT(tree_folders(tree, tree->root, "a//b", 4, &node, &err), -EINVAL);
}

static void flags(void)
{
	AUTO_TREE *tree = NULL;
	struct node *layers = NULL, *node = NULL;

	unit_begin("folders below one that grows grow");
	CHECK_INT(tree_new(&tree, '.', NULL), 0);
	CHECK_INT(tree_folder(tree, tree->root, "layers", &layers, NULL), 0);
	layers->flags |= NODE_GROWS;
	CHECK_INT(tree_name(tree, layers, "a.b.c", 5, &node, NULL, NULL), 0);
	CHECK(node->parent->flags & NODE_GROWS);
	CHECK(!(node->flags & NODE_GROWS) && !(tree->root->flags & NODE_GROWS));
}

static void types(void)
{
	const struct dtype *f32 = dtype_find("float32", 7);
	const uint64_t shape[] = {2, 3}, huge[] = {1ULL << 40, 1ULL << 40};
	struct tensor *tensor = NULL;
	AUTO_TREE *tree = NULL;

	unit_begin("a type knows its bytes, and one that has too many is refused");
	CHECK_INT(tree_new(&tree, '.', NULL), 0);
	CHECK_INT(tree_type(tree, f32, 2, shape, &tensor, NULL), 0);
	CHECK(tensor->bytes == 24 && tensor->rank == 2 && tensor->shape[1] == 3);
	CHECK_INT(tree_type(tree, f32, 2, huge, &tensor, NULL), -EOVERFLOW);
	CHECK_INT(tree_type(tree, dtype_find("string", 6), 2, shape, &tensor, NULL), 0);
	CHECK_INT(tensor->bytes, 0);
	CHECK_INT(tree_type(tree, f32, 70000, shape, &tensor, NULL), -EINVAL);
}

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void many(void)
{
	const struct dtype *f16 = dtype_find("float16", 7);
	const uint64_t shape[] = {4096, 4096};
	const int n = 100000;
	size_t before = mallinfo2().uordblks, bytes;
	double start = seconds();
	AUTO_TREE *tree = NULL;
	struct node *node = NULL;
	char name[80];

	unit_begin("100,000 tensors take less than 400 bytes each, and are all found");
	CHECK_INT(tree_new(&tree, '.', NULL), 0);
	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof name, "model.layers.%d.experts.%d.weight",
			i / 100, i % 100);
		node = named(tree, name, NULL);
		CHECK_INT(tree_type(tree, f16, 2, shape, &node->tensor, NULL), 0);
	}
	bytes = mallinfo2().uordblks - before;
	CHECK(bytes == 0 || bytes / n < 400); /* a sanitizer counts nothing */
	fprintf(stderr, "# %zu bytes and %.0f ns a tensor\n", bytes / n,
		(seconds() - start) * 1e9 / n);
	CHECK(tree_at(tree, "model/layers/999/experts/99/weight.bin") == node);
	CHECK(tree_at(tree, "model/layers/500/experts/50/weight.bin") != NULL);
}

static void flat(void)
{
	AUTO_TREE *tree = NULL;
	struct node *folder = NULL, *node = NULL;
	char name[40];

	unit_begin("a folder of 100,000 finds each of them");
	CHECK_INT(tree_new(&tree, '.', NULL), 0);
	CHECK_INT(tree_folder(tree, tree->root, "f", &folder, NULL), 0);
	for (int i = 0; i < 100000; i++) {
		(void)snprintf(name, sizeof name, "n%d", i);
		CHECK_INT(i & 1 ? tree_tensor(tree, folder, name, &node, NULL)
				: tree_folder(tree, folder, name, &node, NULL),
			0);
	}
	for (int i = 0; i < 100000; i++) {
		(void)snprintf(name, sizeof name, "n%d", i);
		CHECK((tree_stem(folder, name, strlen(name)) != NULL) == (i & 1));
		CHECK((tree_child(folder, name, strlen(name)) != NULL) == !(i & 1));
	}
	CHECK(tree_child(folder, "n100001", 7) == NULL);
	CHECK_INT(tree_count(folder), 100000);
}

int main(void)
{
	making();
	duplicates();
	order();
	flags();
	types();
	many();
	flat();
	return unit_end();
}
