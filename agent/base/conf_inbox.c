/*
 * The values of what is pushed to us: the path of a Unix socket, which is limited by the address of one and made by us,
 * so that it need not exist; permissions as people write them; a group that must exist; a folder that is written.
 */
#include "base/conf_parts.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

void conf_read_socket(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                      void *into)
{
    struct stat status;
    const char *path = conf_path(reader, row, setting);
    if (!path)
        return;
    *(const char **)((char *)into + row->offset) = path;
    if (!*path)
        return;
    if (strlen(path) > CONF_SOCKET_MAX)
        conf_wrong(reader, setting, "\"%s\" is %zu octets long: the path of a socket has at most %d", path,
                   strlen(path), CONF_SOCKET_MAX);
    else if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        conf_wrong(reader, setting, "\"%s\" is a folder: name the socket that is to be made, as in \"%s/inbox\"", path,
                   path);
    else if (lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode))
        conf_wrong(reader, setting, "\"%s\" exists and is no socket: remove it or name another", path);
}

void conf_read_mode(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting, void *into)
{
    const char *text = config_setting_get_string(setting);
    size_t digits = text ? strspn(text, "01234567") : 0;
    unsigned long mode = digits >= 3 && digits <= 4 && !text[digits] ? strtoul(text, NULL, 8) : 0;
    if (mode < 0200 || mode > 0777)
        conf_wrong(reader, setting,
                   "must be permissions as three or four octal digits in quotes, such as \"0660\" or \"0600\"");
    else
        *(uint32_t *)((char *)into + row->offset) = (uint32_t)mode;
}

void conf_read_group(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                     void *into)
{
    const char *text;
    if (!conf_text(reader, setting, row->max, &text))
        return;
    *(const char **)((char *)into + row->offset) = conf_string(reader->blocks, text);
    if (*text && !getgrnam(text))
        conf_wrong(reader, setting, "this system has no group \"%s\": make it (addgroup --system %s) or name another",
                   text, text);
}

void conf_read_drop(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting, void *into)
{
    struct stat status;
    const char *path = conf_path(reader, row, setting);
    if (!path)
        return;
    *(const char **)((char *)into + row->offset) = path;
    if (!*path)
        return;
    if (stat(path, &status) < 0)
        conf_wrong(reader, setting, "the folder \"%s\" cannot be used: %s", path, strerror(errno));
    else if (!S_ISDIR(status.st_mode))
        conf_wrong(reader, setting, "\"%s\" is no folder: name the one that reports are dropped into", path);
    else if (access(path, R_OK | W_OK | X_OK) < 0)
        conf_wrong(reader, setting, "the folder \"%s\" cannot be written: %s. What was read is moved away inside it",
                   path, strerror(errno));
}
