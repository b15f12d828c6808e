/*
 * The text of a configuration: read from its files, with includes put in their place, and written anew for libconfig
 * with one token a line.
 *
 * libconfig 1.5 cannot be given foreign files as they are: including a directory or a device ends the process (its
 * scanner calls exit), numbers beyond 32 bits wrap silently, includes of includes are looked for beside the first file,
 * a NUL hides what stands behind it, settings of a group are compared each with each, and an element of a list carries
 * the line of the token behind it. The scanner here knows just enough of the syntax (strings, comments, numbers,
 * brackets) to exclude all of that: it bounds files, depth, nesting, settings and numbers, and names the file and line
 * of every token. The grammar itself stays libconfig's.
 *
 * A text may also stand in single quotes: nothing in it is an escape, so that patterns can be written as they are.
 */
#include "base/conf_parts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define SOURCE_SIZE_MAX     (UINT32_C(128) << 20) /* octets of all files */
#define SOURCE_FILES_MAX    1000
#define SOURCE_DEPTH_MAX    8    /* files that include each other */
#define SOURCE_NESTING_MAX  16   /* brackets */
#define SOURCE_SETTINGS_MAX 1000 /* in one group: libconfig compares each with each */

struct scanner {
    struct conf_source *source;
    struct conf_errors *errors;
    size_t size; /* octets of all files so far */
    unsigned depth, nesting;
    unsigned settings[SOURCE_NESTING_MAX + 1]; /* of the open groups */
    bool failed;
};

struct input { /* one file */
    const char *data, *end;
    uint32_t file;
    unsigned line;
};

static void scan_file(struct scanner *scanner, const char *path, const struct input *from);

static void fail(struct scanner *scanner, uint32_t file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void fail(struct scanner *scanner, uint32_t file, unsigned line, const char *format, ...)
{
    struct conf_place place = {scanner->source->files[file], line, (unsigned)scanner->source->line_count};
    va_list arguments;
    va_start(arguments, format);
    conf_error_add(scanner->errors, &place, "", format, arguments);
    va_end(arguments);
    scanner->failed = true;
}

static void *grow(void *memory, size_t used, size_t more, size_t *room, size_t element)
{
    if (used + more <= *room)
        return memory;
    *room = (used + more) * 2;
    memory = realloc(memory, *room * element);
    if (!memory)
        abort();
    return memory;
}

static void put(struct conf_source *source, const char *data, size_t length)
{
    source->text = grow(source->text, source->length, length + 1, &source->room, 1);
    memcpy(source->text + source->length, data, length);
    source->length += length;
    source->text[source->length] = '\0';
}

static void put_line(struct conf_source *source, const struct input *input)
{
    source->lines = grow(source->lines, source->line_count, 1, &source->line_room, sizeof *source->lines);
    source->lines[source->line_count++] = (struct conf_source_line){input->file, input->line};
}

/* A token on a line of its own, so that libconfig's line number names it. */
static void put_token(struct conf_source *source, const struct input *input, const char *data, size_t length)
{
    put(source, "\n", 1);
    put_line(source, input);
    put(source, data, length);
}

/* Skips white space and comments. False at the end of the file. */
static bool skip_blank(struct scanner *scanner, struct input *in)
{
    for (; in->data < in->end; in->data++) {
        if (*in->data == '\n') {
            in->line++;
        } else if (*in->data == '#' || (*in->data == '/' && in->end - in->data > 1 && in->data[1] == '/')) {
            const char *end = memchr(in->data, '\n', (size_t)(in->end - in->data));
            in->data = (end ? end : in->end) - 1;
        } else if (*in->data == '/' && in->end - in->data > 1 && in->data[1] == '*') {
            const char *end = memmem(in->data + 2, (size_t)(in->end - in->data - 2), "*/", 2);
            if (!end) {
                fail(scanner, in->file, in->line, "this comment has no end: close it with */");
                in->data = in->end;
                return false;
            }
            for (; in->data < end + 1; in->data++)
                in->line += *in->data == '\n';
        } else if (!isspace((unsigned char)*in->data)) {
            return true;
        }
    }
    return false;
}

/* The length of the string that in->data opens, with its quotes; 0 with an error when it has no end. */
static size_t string_length(struct scanner *scanner, const struct input *in)
{
    for (const char *p = in->data + 1; p < in->end; p++) {
        if (*p == '"')
            return (size_t)(p + 1 - in->data);
        if (*p == '\n')
            break;
        if (!*p || (*p == '\\' && in->end - p > 3 && tolower(p[1]) == 'x' && p[2] == '0' && p[3] == '0')) {
            fail(scanner, in->file, in->line, "a string may not hold NUL");
            return 0;
        }
        if (*p == '\\' && in->end - p > 1 && (p[1] == '"' || p[1] == '\\'))
            p++;
    }
    fail(scanner, in->file, in->line, "this string has no end: close it with a quote on the same line");
    return 0;
}

static void scan_string(struct scanner *scanner, struct input *in)
{
    size_t length = string_length(scanner, in);
    if (!length) { /* go on behind the line */
        const char *end = memchr(in->data, '\n', (size_t)(in->end - in->data));
        in->data = end ? end : in->end;
        return;
    }
    put_token(scanner->source, in, in->data, length);
    in->data += length;
}

/* A text in single quotes: told to libconfig in double ones. */
static void scan_raw_string(struct scanner *scanner, struct input *in)
{
    size_t left = (size_t)(in->end - in->data - 1);
    const char *line_end = memchr(in->data + 1, '\n', left);
    const char *end = memchr(in->data + 1, '\'', line_end ? (size_t)(line_end - in->data - 1) : left);
    if (!end) {
        fail(scanner, in->file, in->line, "this text has no end: close it with a single quote on the same line");
        in->data = line_end ? line_end : in->end;
        return;
    }
    put_token(scanner->source, in, "\"", 1);
    for (const char *p = in->data + 1; p < end; p++) {
        if (!*p)
            fail(scanner, in->file, in->line, "a string may not hold NUL");
        put(scanner->source, "\\", *p == '"' || *p == '\\' ? 1 : 0);
        put(scanner->source, p, *p ? 1 : 0);
    }
    put(scanner->source, "\"", 1);
    in->data = end + 1;
}

/* Numbers, names and words: everything up to a character that means something by itself. */
static size_t word_length(const struct input *in)
{
    const char *p = in->data;
    while (p < in->end && (isalnum((unsigned char)*p) || strchr("_*-+.", *p)) && *p)
        p++;
    return (size_t)(p - in->data);
}

/*
 * libconfig reads a number into 32 bits, or with L behind it into 64, and keeps what is left of a greater one. So L is
 * put behind what needs it, for the range of its setting to refuse it, and what needs more is refused here.
 */
static void scan_number(struct scanner *scanner, struct input *in, size_t length)
{
    char word[32], *end;
    struct input at = *in;
    in->data += length;
    if (length >= sizeof word) {
        fail(scanner, at.file, at.line, "the number is too long");
        return;
    }
    memcpy(word, at.data, length);
    word[length] = '\0';
    errno = 0;
    bool hexadecimal = length > 2 && word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
    long long value = strtoll(word, &end, hexadecimal ? 16 : 10);
    bool whole = strspn(end, "Ll") == strlen(end);
    put_token(scanner->source, &at, at.data, length);
    if (whole && errno)
        fail(scanner, at.file, at.line, "the number %s is out of range", word);
    else if (whole && !*end && (value < INT32_MIN || value > INT32_MAX))
        put(scanner->source, "L", 1);
}

static void scan_include(struct scanner *scanner, struct input *in)
{
    struct input at = *in;
    in->data += strlen("@include");
    while (in->data < in->end && (*in->data == ' ' || *in->data == '\t'))
        in->data++;
    if (in->data == in->end || *in->data != '"') {
        fail(scanner, at.file, at.line, "@include needs a file name in quotes");
        return;
    }
    size_t length = string_length(scanner, in);
    if (!length) {
        in->data = in->end;
        return;
    }
    const char *name = in->data + 1;
    const char *from = scanner->source->files[in->file];
    const char *slash = strrchr(from, '/');
    int folder = *name != '/' && slash ? (int)(slash + 1 - from) : 0;
    char path[4096];
    int written = snprintf(path, sizeof path, "%.*s%.*s", folder, from, (int)(length - 2), name);
    in->data += length;
    if (written < 0 || (size_t)written >= sizeof path)
        fail(scanner, at.file, at.line, "the name of the included file is too long");
    else
        scan_file(scanner, path, &at);
}

/* Brackets, assignments, separators; and what libconfig will refuse. */
static void scan_character(struct scanner *scanner, struct input *in)
{
    char c = *in->data;
    if (strchr("{[(", c)) {
        if (scanner->nesting == SOURCE_NESTING_MAX) {
            fail(scanner, in->file, in->line, "brackets are nested more than %d deep", SOURCE_NESTING_MAX);
            in->data = in->end;
            return;
        }
        scanner->settings[++scanner->nesting] = 0;
    } else if (strchr("}])", c)) {
        scanner->nesting -= scanner->nesting > 0;
    } else if ((c == '=' || c == ':') && ++scanner->settings[scanner->nesting] == SOURCE_SETTINGS_MAX + 1) {
        fail(scanner, in->file, in->line, "more than %d settings in one group", SOURCE_SETTINGS_MAX);
        in->data = in->end;
        return;
    }
    /* A comma behind the last element is allowed, as by later versions of libconfig. */
    struct conf_source *source = scanner->source;
    if (strchr(")]", c) && source->length && source->text[source->length - 1] == ',')
        source->length--;
    /* Behind the element that it ends, whose line libconfig takes only now. */
    if (strchr(",)]", c))
        put(source, in->data, 1);
    else
        put_token(source, in, in->data, 1);
    in->data++;
}

static void scan_text(struct scanner *scanner, struct input *in)
{
    while (!(scanner->errors->dropped) && skip_blank(scanner, in)) {
        size_t length = word_length(in);
        size_t left = (size_t)(in->end - in->data);
        if (*in->data == '"') {
            scan_string(scanner, in);
        } else if (*in->data == '\'') {
            scan_raw_string(scanner, in);
        } else if (left >= 8 && memcmp(in->data, "@include", 8) == 0) {
            scan_include(scanner, in);
        } else if (length) {
            if (isdigit((unsigned char)*in->data) || strchr("+-", *in->data)) {
                scan_number(scanner, in, length);
                continue;
            }
            put_token(scanner->source, in, in->data, length);
            in->data += length;
        } else if (*in->data && strchr("{}[](),;=:", *in->data)) {
            scan_character(scanner, in);
        } else {
            char shown[16];
            text_printable(shown, sizeof shown, in->data, 1);
            fail(scanner, in->file, in->line, "\"%s\" has no meaning here: texts stand in quotes", shown);
            in->data++;
        }
    }
}

/* The whole of a regular file; NULL with a message. A device or a pipe must not hold up the program. */
static char *read_whole(const char *path, size_t most, size_t *length, char *message, size_t size)
{
    struct stat status;
    char *data = NULL;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0 || fstat(descriptor, &status) < 0) {
        text_format(message, size, "cannot be read: %s", strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        text_format(message, size, "cannot be read: it is no regular file");
    } else if ((uint64_t)status.st_size > most) {
        text_format(message, size, "cannot be read: all files together have more than %u MiB", SOURCE_SIZE_MAX >> 20);
    } else {
        data = malloc((size_t)status.st_size + 1);
        if (!data)
            abort();
        ssize_t got = 1;
        for (*length = 0; got > 0 && *length<(size_t)status.st_size; *length += got> 0 ? (size_t)got : 0)
            got = read(descriptor, data + *length, (size_t)status.st_size - *length);
        if (got < 0) {
            text_format(message, size, "cannot be read: %s", strerror(errno));
            free(data);
            data = NULL;
        }
    }
    if (descriptor >= 0)
        close(descriptor);
    return data;
}

static uint32_t add_file(struct conf_source *source, const char *path)
{
    source->files = realloc(source->files, (source->file_count + 1) * sizeof *source->files);
    char *copy = strdup(path);
    if (!source->files || !copy)
        abort();
    source->files[source->file_count] = copy;
    return (uint32_t)source->file_count++;
}

/* `from` is where the file is included; NULL for the first. */
static void scan_file(struct scanner *scanner, const char *path, const struct input *from)
{
    if (from && (scanner->depth == SOURCE_DEPTH_MAX || scanner->source->file_count == SOURCE_FILES_MAX)) {
        fail(scanner, from->file, from->line,
             scanner->depth == SOURCE_DEPTH_MAX ? "files include each other more than 8 deep: does one include itself?"
                                                : "more than 1000 files are included");
        return;
    }
    char message[256];
    size_t length;
    char *data = read_whole(path, SOURCE_SIZE_MAX - scanner->size, &length, message, sizeof message);
    uint32_t file = add_file(scanner->source, path);
    if (!data) {
        if (from)
            fail(scanner, from->file, from->line, "the included file \"%s\" %s", path, message);
        else
            fail(scanner, file, 0, "the file %s", message);
        return;
    }
    scanner->size += length;
    scanner->depth++;
    struct input in = {data, data + length, file, 1};
    scan_text(scanner, &in);
    scanner->depth--;
    free(data);
}

bool conf_source_read(struct conf_source *source, const char *path, struct conf_errors *errors)
{
    *source = (struct conf_source){0};
    struct scanner scanner = {.source = source, .errors = errors};
    /* The first token opens line 2; line 1 stands for the file as a whole. */
    put(source, "", 0);
    put_line(source, &(struct input){0});
    scan_file(&scanner, path, NULL);
    return !scanner.failed;
}

void conf_source_clear(struct conf_source *source)
{
    for (size_t i = 0; i < source->file_count; i++)
        free(source->files[i]);
    free(source->files);
    free(source->lines);
    free(source->text);
    *source = (struct conf_source){0};
}

struct conf_place conf_source_place(const struct conf_source *source, unsigned line)
{
    size_t last = source->line_count - 1;
    size_t at = line ? line - 1 : 0;
    const struct conf_source_line *found = &source->lines[at < last ? at : last];
    return (struct conf_place){source->files[found->file], found->line, line};
}

void conf_source_token(const struct conf_source *source, unsigned line, char *out, size_t size)
{
    const char *at = source->text;
    for (unsigned i = 1; at && i < line; i++) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    text_printable(out, size, at ? at : "", at ? strcspn(at, "\n") : 0);
}
