# The objects and notifications of a MIB module as items of a list of mdoc.
function tell(text, n, words, i, line) {
    gsub(/\\/, "\\e", text)
    n = split(text, words, " ")
    line = ""
    for (i = 1; i <= n; i++) {
        if (length(line) + length(words[i]) > 76) {
            print line
            line = ""
        }
        if (line == "" && words[i] ~ /^[.']/)
            words[i] = "\\&" words[i]
        line = line == "" ? words[i] : line " " words[i]
        if (words[i] ~ /[.]$/) {
            print line
            line = ""
        }
    }
    if (line != "")
        print line
}
/^fedw[A-Za-z0-9]+ +(OBJECT-TYPE|NOTIFICATION-TYPE)/ {
    name = $1
    kind = $2
    syntax = ""
    text = ""
    inside = 0
    next
}
name != "" && /^ +SYNTAX/ {
    syntax = $0
    sub(/^ +SYNTAX +/, "", syntax)
    sub(/ *\{.*/, "", syntax)
}
name != "" && /^ +UNITS/ {
    units = $0
    gsub(/^ +UNITS +"|"$/, "", units)
    syntax = syntax ", " units
}
name != "" && /^ +DESCRIPTION/ { inside = 1; next }
name != "" && inside {
    line = $0
    gsub(/^ +/, "", line)
    ended = line ~ /"$/
    gsub(/"/, "", line)
    text = text " " line
    if (ended)
        inside = 0
}
name != "" && /^ +::= / {
    print ".It Sy " name
    if (kind == "NOTIFICATION-TYPE")
        print "Notification."
    else if (syntax ~ /^SEQUENCE OF/)
        print "Table."
    else if (syntax !~ /Entry$/)
        print syntax "."
    tell(text)
    name = ""
}
END { print ".El" }
