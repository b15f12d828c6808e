/* For the preprocessor: the list of reasons as lines that reasons.awk reads. */
#define REASON_ROW(number, enumerator, name, event, severity, actor, cause, resolution, aliases) \
    ROW|number|name|event|severity|actor|cause|resolution|aliases
#include "base/reason_list.h"
