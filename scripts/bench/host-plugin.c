/*
 * A PJRT plugin that calls itself cuda and computes nothing: what a step costs the host besides the plugin.
 * `Execute` keeps its thread for EXECUTE_MS, as launching kernels does; each execution then takes DEVICE_MS.
 * cc -O2 -shared -fPIC -o host-plugin.so host-plugin.c; used by host-time.mjs.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint64_t Word;
/* All functions take a struct of words; where which field lies is in src/engine/xla/pjrt/layouts.ts. */
#define FUNCTION(name) static void *name(Word *args)

typedef struct { double ready; } Event;
/* About as large as a plugin's. */
typedef struct { double ready; char rest[160]; void *device; } Buffer;
typedef struct { int count, extentCount; int types[4096]; int64_t extents[8192]; size_t ranks[4096]; } Program;

static double deviceMs, executeMs, deviceFreeAt;
static const char NAME[] = "cuda";
static Word device;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}
static void sleepUntil(double end) {
  double left = end - now();
  if (left <= 0) return;
  struct timespec time = {(time_t)(left / 1e3), (long)(left * 1e6) % 1000000000L};
  nanosleep(&time, NULL);
}
static Word eventAt(double ready) {
  Event *event = malloc(sizeof *event);
  event->ready = ready;
  return (Word)event;
}
static Word bufferAt(double ready) {
  Buffer *buffer = calloc(1, sizeof *buffer);
  buffer->ready = ready;
  buffer->device = malloc(64);
  return (Word)buffer;
}

FUNCTION(nothing) { return NULL; }
FUNCTION(eventDestroy) { free((void *)args[2]); return NULL; }
FUNCTION(eventIsReady) { *(char *)&args[3] = ((Event *)args[2])->ready <= now(); return NULL; }
FUNCTION(eventAwait) { sleepUntil(((Event *)args[2])->ready); return NULL; }
FUNCTION(text) { args[3] = (Word)NAME; args[4] = sizeof NAME - 1; return NULL; }
FUNCTION(devices) { args[3] = (Word)&device; args[4] = 1; return NULL; }
FUNCTION(clientCreate) {
  deviceMs = atof(getenv("DEVICE_MS"));
  executeMs = atof(getenv("EXECUTE_MS"));
  return NULL;
}
/* Reads the types of the results out of the text: those after main's arrow. */
FUNCTION(compile) {
  Word *source = (Word *)args[3];
  char *copy = strndup((char *)source[2], source[3]);
  Program *program = calloc(1, sizeof *program);
  char *at = strstr(strstr(copy, "@main("), "->");
  char *body = strstr(at, "\n    %");
  if (body) *body = 0;
  while ((at = strstr(at, "tensor<"))) {
    for (at += 7; *at >= '0' && *at <= '9'; at++) {
      program->extents[program->extentCount++] = strtol(at, &at, 10);
      program->ranks[program->count]++;
    }
    program->types[program->count++] = strncmp(at, "f32", 3) ? 4 : 11;
  }
  free(copy);
  args[6] = (Word)program;
  return NULL;
}
FUNCTION(description) { args[3] = args[2]; return NULL; }
FUNCTION(outputTypes) {
  Program *program = (Program *)args[2];
  args[3] = (Word)program->types;
  args[4] = program->count;
  return NULL;
}
FUNCTION(outputDimensions) {
  Program *program = (Program *)args[2];
  args[3] = program->count;
  args[4] = (Word)program->extents;
  args[5] = (Word)program->ranks;
  return NULL;
}
FUNCTION(upload) { args[13] = eventAt(0); args[14] = bufferAt(0); return NULL; }
FUNCTION(execute) {
  Program *program = (Program *)args[2];
  Word *outputs = ((Word **)args[7])[0];
  double end = now() + executeMs;
  deviceFreeAt = (deviceFreeAt > now() ? deviceFreeAt : now()) + deviceMs;
  for (int i = 0; i < program->count; i++) outputs[i] = bufferAt(deviceFreeAt);
  ((Word *)args[8])[0] = eventAt(deviceFreeAt);
  sleepUntil(end);
  return NULL;
}
FUNCTION(bufferDestroy) {
  Buffer *buffer = (Buffer *)args[2];
  free(buffer->device);
  free(buffer);
  return NULL;
}
FUNCTION(toHost) { args[6] = eventAt(((Buffer *)args[2])->ready); return NULL; }

enum { FUNCTIONS = 138, MINOR = 112 };
static struct {
  size_t size;
  void *extension;
  size_t versionSize;
  void *versionExtension;
  int32_t major, minor;
  void *functions[FUNCTIONS];
} api;

void *GetPjrtApi(void) {
  api.size = sizeof api;
  api.versionSize = 24;
  api.minor = MINOR;
  for (int i = 0; i < FUNCTIONS; i++) api.functions[i] = nothing;
  /* Optional ones: statistics, serialising, the optimised program. */
  const int left[] = {34, 48, 49, 56, 96};
  for (int i = 0; i < 5; i++) api.functions[left[i]] = NULL;
  void **at = api.functions;
  at[5] = eventDestroy, at[6] = eventIsReady, at[8] = eventAwait, at[10] = clientCreate;
  at[12] = at[14] = at[26] = text, at[16] = devices, at[20] = compile, at[22] = upload;
  at[51] = description, at[55] = execute, at[58] = bufferDestroy, at[70] = toHost;
  at[90] = outputTypes, at[91] = outputDimensions;
  return &api;
}
