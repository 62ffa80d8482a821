/* What the test plugins share: reading a request's JSON, splitting URLs, seeded content, FNV-1a, waiting.
 *
 * Include it after imgh.h, with _GNU_SOURCE defined.
 */
#ifndef KIT_H
#define KIT_H

#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KIT_URL_BYTES = 4096, KIT_SEGMENTS = 8, KIT_SLICE_MS = 20 };

/* The smaller of two. */
static inline uint64_t kit_least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* ---- JSON ---- */

/* The text from the first byte of a value to the end of the document; `at` is NULL where there is no value. */
struct kit_json {
  const char *at, *end;
};

static inline struct kit_json kit_json(imgh_str text) {
  struct kit_json json = {text.ptr, NULL};
  if (text.ptr != NULL) json.end = text.ptr + text.len;
  return json;
}

static inline const char *kit_skip_space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
  return at;
}

/* Behind the string that begins at `at`. */
static inline const char *kit_skip_string(const char *at, const char *end) {
  for (at++; at < end && *at != '"'; at++)
    if (*at == '\\' && at + 1 < end) at++;
  return at < end ? at + 1 : end;
}

/* At the comma or bracket behind the value that begins at `at`. */
static inline const char *kit_skip_value(const char *at, const char *end) {
  int depth = 0;
  while (at < end) {
    if (depth == 0 && (*at == ',' || *at == '}' || *at == ']')) return at;
    if (*at == '{' || *at == '[') depth++;
    if (*at == '}' || *at == ']') depth--;
    at = *at == '"' ? kit_skip_string(at, end) : at + 1;
  }
  return end;
}

/* Behind the bracket that opens an object or array, at its first element; NULL when it is none or empty. */
static inline const char *kit_enter(struct kit_json json, char bracket) {
  const char *at = json.at == NULL ? NULL : kit_skip_space(json.at, json.end);
  if (at == NULL || at == json.end || *at != bracket) return NULL;
  at = kit_skip_space(at + 1, json.end);
  return at < json.end && *at != '}' && *at != ']' ? at : NULL;
}

/* From the element at `at` to the next one, or NULL. */
static inline const char *kit_next(const char *at, const char *end) {
  at = kit_skip_value(at, end);
  return at < end && *at == ',' ? kit_skip_space(at + 1, end) : NULL;
}

/* Whether the string at `at`, which has no escapes, is this one. */
static inline int kit_is(const char *at, const char *end, const char *text) {
  const size_t len = strlen(text);
  return (size_t)(end - at) >= len + 2 && at[0] == '"' && memcmp(at + 1, text, len) == 0 && at[len + 1] == '"';
}

static inline struct kit_json kit_member(struct kit_json object, const char *name) {
  const char *at = kit_enter(object, '{'), *const end = object.end;
  struct kit_json value = {NULL, end};
  for (; at != NULL; at = kit_next(at, end)) {
    if (!kit_is(at, end, name)) continue;
    at = kit_skip_space(kit_skip_string(at, end), end);
    if (at < end && *at == ':') value.at = kit_skip_space(at + 1, end);
    break;
  }
  return value;
}

/* Whether an object has no member but these; the list ends with NULL. */
static inline int kit_only(struct kit_json object, const char *const *names) {
  const char *at = kit_enter(object, '{');
  for (; at != NULL; at = kit_next(at, object.end)) {
    const char *const *name = names;
    while (*name != NULL && !kit_is(at, object.end, *name)) name++;
    if (*name == NULL) return 0;
  }
  return 1;
}

/* Whether an array of strings has this one. */
static inline int kit_lists(struct kit_json array, const char *text) {
  const char *at = kit_enter(array, '[');
  while (at != NULL && !kit_is(at, array.end, text)) at = kit_next(at, array.end);
  return at != NULL;
}

/* A string as C text; 0 when it is none or has no room. Of the \u escapes only those of ASCII are known. */
static inline int kit_string(struct kit_json json, char *text, size_t room) {
  static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  const char *at = json.at, *name;
  size_t len = 0;
  if (at == NULL || at == json.end || *at != '"') return 0;
  for (at++; at < json.end && *at != '"'; at++) {
    if (len + 1 >= room) return 0;
    if (*at != '\\') {
      text[len++] = *at;
      continue;
    }
    if (++at == json.end) return 0;
    if (*at == 'u') {
      char digits[5] = {0};
      if (json.end - at < 5) return 0;
      memcpy(digits, at + 1, 4);
      text[len++] = (char)(strtoul(digits, NULL, 16) & 0x7F);
      at += 4;
    } else if ((name = memchr(names, *at, sizeof names - 1)) != NULL) {
      text[len++] = meant[name - names];
    }
  }
  text[len] = '\0';
  return 1;
}

/* A number from decimal digits and nothing else; 0 when it is none. */
static inline int kit_number(const char *text, uint64_t *number) {
  char *end;
  if (*text < '0' || *text > '9') return 0;
  *number = strtoull(text, &end, 10);
  return *end == '\0';
}

/* The whole number at a value, or `otherwise`. */
static inline uint64_t kit_integer(struct kit_json json, uint64_t otherwise) {
  uint64_t number = 0;
  const char *at = json.at;
  if (at == NULL || at == json.end || *at < '0' || *at > '9') return otherwise;
  for (; at < json.end && *at >= '0' && *at <= '9'; at++) number = number * 10 + (uint64_t)(*at - '0');
  return number;
}

/* ---- URLs ---- */

/* SCHEME://SEGMENT/SEGMENT?QUERY. The strings lie in `text`. */
struct kit_url {
  char text[KIT_URL_BYTES];
  char *segment[KIT_SEGMENTS];
  size_t segments;
  char *query;
};

/* Splits url->text. What has no scheme begins with its first segment. */
static inline void kit_split(struct kit_url *url) {
  char *rest = strstr(url->text, "://");
  rest = rest == NULL ? url->text : rest + 3;
  rest[strcspn(rest, "#")] = '\0';
  url->query = rest + strcspn(rest, "?");
  if (*url->query != '\0') *url->query++ = '\0';
  for (url->segments = 0; url->segments < KIT_SEGMENTS && rest != NULL;) {
    char *slash = url->segments + 1 < KIT_SEGMENTS ? strchr(rest, '/') : NULL;
    if (slash != NULL) *slash = '\0';
    url->segment[url->segments++] = rest;
    rest = slash == NULL ? NULL : slash + 1;
  }
}

/* The location's URL, whole and split. The request shows it without the values of its query; they come as a secret,
 * which a probe does not get. */
static inline imgh_status kit_location(const imgh_host *host, imgh_call *call, imgh_str request, struct kit_url *url,
                                       imgh_error *err) {
  const struct kit_json json = kit_json(request);
  size_t len = 0;
  imgh_status status = IMGH_ERR_NOT_FOUND;
  memset(url, 0, sizeof *url);
  if (kit_lists(kit_member(json, "secrets"), "location.url"))
    status = host->secret(call, imgh_text("location.url"), url->text, sizeof url->text - 1, &len, err);
  if ((status != 0 || len >= sizeof url->text) &&
      !kit_string(kit_member(kit_member(json, "location"), "url"), url->text, sizeof url->text))
    return imgh_fail(err, IMGH_ERR_INVALID, "no-location", "the request has no location");
  kit_split(url);
  return 0;
}

static inline int kit_hex(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f') return (digit | 0x20) - 'a' + 10;
  return -1;
}

/* Takes the next NAME=VALUE off a query, with the value's %XX decoded; 0 when there is none. */
static inline int kit_next_option(char **query, const char **name, const char **value) {
  char *at = *query, *into;
  if (at == NULL || *at == '\0') return 0;
  *query = at + strcspn(at, "&");
  if (**query != '\0') *(*query)++ = '\0';
  *name = at;
  at += strcspn(at, "=");
  if (*at != '\0') *at++ = '\0';
  *value = at;
  for (into = at; *at != '\0'; at++) {
    const int coded = *at == '%' && kit_hex(at[1]) >= 0 && kit_hex(at[2]) >= 0;
    *into++ = coded ? (char)(kit_hex(at[1]) << 4 | kit_hex(at[2])) : *at;
    if (coded) at += 2;
  }
  *into = '\0';
  return 1;
}

/* The IMGH_ERR_* of a name as landfall prints it, or 0. */
static inline imgh_status kit_kind(const char *name) {
  static const char *const names[] = {"unsupported", "invalid",  "not-found", "denied",   "unavailable",
                                      "corrupt",     "limit",    "no-space",  "io",       "exists",
                                      "unhashed",    "cancelled", "crashed",  "internal"};
  size_t at = 0;
  while (at < sizeof names / sizeof *names && strcmp(names[at], name) != 0) at++;
  return at < sizeof names / sizeof *names ? (imgh_status)at + 1 : 0;
}

/* ---- Bytes ---- */

#define KIT_GAMMA UINT64_C(0x9E3779B97F4A7C15)

/* The output function of splitmix64. */
static inline uint64_t kit_mix(uint64_t state) {
  state = (state ^ state >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  state = (state ^ state >> 27) * UINT64_C(0x94D049BB133111EB);
  return state ^ state >> 31;
}

/* The bytes of a seed's content from `offset` on; seeded.c says what they are. */
static inline void kit_fill(void *into, size_t len, uint64_t offset, uint64_t seed) {
  unsigned char *bytes = into;
  while (len > 0) {
    uint64_t state = seed + (offset / 8 + 1) * KIT_GAMMA, word = htole64(kit_mix(state));
    const size_t skip = offset % 8;
    size_t part = (size_t)kit_least(8 - skip, len);
    memcpy(bytes, (const char *)&word + skip, part);
    bytes += part;
    offset += part;
    len -= part;
    if (offset % 8 != 0) continue;
    for (; len >= 8; len -= 8, bytes += 8, offset += 8) {
      word = htole64(kit_mix(state += KIT_GAMMA));
      memcpy(bytes, &word, 8);
    }
  }
}

/* FNV-1a with 64 bits. */
static inline uint64_t kit_fnv(const void *from, size_t len) {
  const unsigned char *bytes = from;
  uint64_t hash = UINT64_C(0xCBF29CE484222325);
  while (len-- > 0) hash = (hash ^ *bytes++) * UINT64_C(0x100000001B3);
  return hash;
}

/* ---- Time ---- */

static inline uint64_t kit_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Sleeps until then, or until the call is cancelled; whether it was. */
static inline int kit_sleep_until(const imgh_host *host, imgh_call *call, uint64_t then) {
  uint64_t now;
  while (!host->is_cancelled(call)) {
    struct timespec slice = {0, 0};
    if ((now = kit_now_ns()) >= then) return 0;
    slice.tv_nsec = (long)kit_least(then - now, KIT_SLICE_MS * UINT64_C(1000000));
    nanosleep(&slice, NULL);
  }
  return 1;
}

static inline imgh_status kit_cancelled(imgh_error *err) {
  return imgh_fail(err, IMGH_ERR_CANCELLED, "cancelled", "stopped as asked");
}

#endif /* KIT_H */
