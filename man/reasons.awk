# fedwarden-reasons.7 of the list of reasons after the preprocessor: lines of ROW|number|name|event|severity|actor|cause|resolution|aliases.
function plain(text) {
    gsub(/" *"/, "", text)
    sub(/^ *"/, "", text)
    sub(/" *$/, "", text)
    gsub(/\\"/, "\"", text)
    gsub(/\\/, "\\e", text)
    return text
}
function print_text(text, n, words, i, line) {
    n = split(text, words, " ")
    line = ""
    for (i = 1; i <= n; i++) {
        if (length(line) + length(words[i]) > 76) {
            print line
            line = ""
        }
        line = line == "" ? words[i] : line " " words[i]
        if (words[i] ~ /[.;:]$/ && words[i] ~ /[.]$/) {
            print line
            line = ""
        }
    }
    if (line != "")
        print (line ~ /^[.']/ ? "\\&" line : line)
}
BEGIN {
    FS = "\\|"
    split("DNS|Transport|TLS and certificates|Authentication at the edge|Domains at the edge||||The monitor itself", titles, "|")
}
/^ROW/ {
    layer = int($2 / 100)
    if (layer != seen || !started) {
        if (started)
            print ".El"
        if (layer)
            print ".Sh " toupper(titles[layer])
        print ".Bl -tag -width indent"
    }
    seen = layer
    started = 1
    print ".It Sy " $3 " Pq " $2
    cause = plain($7)
    if (cause == "") {
        print "There is no failure."
        next
    }
    print_text(cause)
    actor = tolower($6)
    sub(/^actor_/, "", actor)
    severity = tolower($5)
    sub(/^severity_/, "", severity)
    event = tolower($4)
    print ".Pp"
    print_text("What to do: " plain($8))
    print ".Pp"
    print_text("Severity " severity "; who acts: " (actor == "us" ? "we" : actor == "none" ? "nobody" : "the " actor) "." \
               (plain($9) != "" ? " Also called " plain($9) "." : ""))
}
END { print ".El" }
