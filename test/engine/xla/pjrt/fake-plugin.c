/* A shared library that exports what a PJRT plugin exports, and is wrong in the way that FAKE_PLUGIN names. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FUNCTIONS = 138, NEWER = 200, MINOR = 112 };

typedef struct {
  size_t struct_size;
  void *extension;
  size_t version_size;
  void *version_extension;
  int32_t major, minor;
  void *functions[NEWER];
} Api;

static const char WORDS[] = "the driver is older than the plugin\n\x1b[31m(really)";

typedef struct { size_t size; void *extension; void *error; const char *message; size_t length; } MessageArgs;
typedef struct { size_t size; void *extension; void *error; int32_t code; } CodeArgs;

/* Three words; what is called for many leaves its mark in each. */
void *mark(int64_t *words) {
  words[2] = -words[1];
  return NULL;
}

static void *fine(void *args) { return NULL; }
static void *fails(void *args) { return (void *)WORDS; }
static void *message(MessageArgs *args) {
  args->message = WORDS;
  args->length = sizeof WORDS - 1;
  return NULL;
}
static void *code(CodeArgs *args) {
  args->code = 13;
  return NULL;
}

void *GetPjrtApi(void) {
  static Api api;
  const char *how = getenv("FAKE_PLUGIN");
  if (!how || !strcmp(how, "nothing")) return NULL;
  memset(&api, 0, sizeof api);
  int count = !strcmp(how, "newer") ? NEWER : FUNCTIONS;
  api.struct_size = offsetof(Api, functions) + count * sizeof(void *);
  api.version_size = 24;
  api.minor = !strcmp(how, "newer") ? 999 : MINOR;
  for (int i = 0; i < count; i++) api.functions[i] = fine;
  api.functions[1] = message;
  api.functions[2] = code;
  if (!strcmp(how, "small")) api.struct_size = 8;
  if (!strcmp(how, "huge")) api.struct_size = SIZE_MAX;
  if (!strcmp(how, "major")) api.major = 1;
  if (!strcmp(how, "old")) api.minor = 3;
  if (!strcmp(how, "short")) api.struct_size = offsetof(Api, functions) + 12 * sizeof(void *);
  if (!strcmp(how, "hole")) api.functions[10] = NULL;
  if (!strcmp(how, "fails")) api.functions[3] = fails;
  return &api;
}
