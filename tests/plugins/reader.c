/* Reads the plugin table of a shared object: as many bytes as it says that it has ("within"), or as many as this header
 * knows ("beyond"), which is what a careless host would do.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "imgh.h"

int main(int count, char **words) {
  typedef const imgh_plugin *entry(void);
  imgh_plugin copy;
  void *library = count == 3 ? dlopen(words[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  void *symbol = library == NULL ? NULL : dlsym(library, "imgh_plugin_v0");
  entry *function;
  const imgh_plugin *plugin;
  volatile unsigned char last;
  if (symbol == NULL) return 2;
  memcpy(&function, &symbol, sizeof function);
  plugin = function();
  if (plugin->struct_size >= sizeof copy) return 3;
  memset(&copy, 0, sizeof copy);
  memcpy(&copy, plugin, strcmp(words[2], "beyond") == 0 ? sizeof copy : plugin->struct_size);
  last = ((unsigned char *)&copy)[sizeof copy - 1];
  printf("%u %u\n", copy.abi_minor, last);
  return 0;
}
