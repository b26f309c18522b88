/*
 * dump FILE: prints every field of a frame.meta in the reader's layout, one per line, and the
 * layout's hash. src/frame/tests/c_reader compares the output with src/frame.
 */
#include "../vas_frame.c"

static uint64_t hash_line(uint64_t hash, const char *line)
{
    for (; *line != '\0'; line++)
        hash = (hash ^ (unsigned char)*line) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t hash_field(uint64_t hash, const char *part, const char *name, int offset, int size)
{
    char line[128];
    snprintf(line, sizeof line, "%s %s %d %d\n", part, name, offset, size);
    return hash_line(hash, line);
}

static uint64_t layout_hash(void)
{
    uint64_t hash = hash_line(UINT64_C(0xcbf29ce484222325), "frame.meta 2\n");
#define HASH_HEADER(at, bits, name) hash = hash_field(hash, "header", #name, at, bits / 8);
#define HASH_ARRAY(at, bits, name, n) hash = hash_field(hash, "header", #name, at, bits / 8 * n);
#define HASH_ENTRY(at, bits, name) hash = hash_field(hash, "entry", #name, at, bits / 8);
    HEADER_FIELDS(HASH_HEADER, HASH_ARRAY)
    ENTRY_FIELDS(HASH_ENTRY)
    return hash;
}

static void print_header(const struct header *h)
{
#define PRINT_HEADER(at, bits, name)                                                               \
    printf("header.%s=%" PRIu64 "\n", #name, (uint64_t)LOAD(h->name));
#define PRINT_ARRAY(at, bits, name, n)                                                             \
    for (int i = 0; i < n; i++)                                                                    \
        printf("header.%s.%d=%" PRIu64 "\n", #name, i, (uint64_t)LOAD(h->name[i]));
    HEADER_FIELDS(PRINT_HEADER, PRINT_ARRAY)
}

static void print_entry(size_t slot, const struct entry *e)
{
#define PRINT_ENTRY(at, bits, name)                                                                \
    printf("entry.%zu.%s=%" PRIu64 "\n", slot, #name, (uint64_t)LOAD(e->name));
    ENTRY_FIELDS(PRINT_ENTRY)
}

int main(int argc, char **argv)
{
    static _Alignas(64) unsigned char meta[4096];
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL) {
        fprintf(stderr, "usage: dump FILE, a frame.meta\n");
        return 2;
    }
    size_t size = fread(meta, 1, sizeof meta, file);
    fclose(file);
    if (size < sizeof(struct header))
        return 1;
    printf("layout_hash=%" PRIu64 "\nLAYOUT_HASH=%" PRIu64 "\n", layout_hash(), LAYOUT_HASH);
    const struct header *header = (const void *)meta;
    print_header(header);
    const struct entry *entries = (const struct entry *)(header + 1);
    for (size_t slot = 0; slot < (size - sizeof *header) / sizeof *entries; slot++)
        print_entry(slot, &entries[slot]);
    return 0;
}
