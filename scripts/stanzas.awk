# Writes each stanza of a dpkg status file as one line for `graftctl call --batch`: ["pkgindex.add", "raw text", "prefix"].
# The text goes as it is; the graft does the parsing.
#   awk -v prefix=first: -f stanzas.awk /var/lib/dpkg/status

function send()
{
    if (text != "")
        printf "[\"pkgindex.add\",\"%s\",\"%s\"]\n", text, prefix
    text = ""
}

/^[ \t]*$/ { send(); next }

{
    gsub(/\\/, "&&")
    gsub(/"/, "\\\\&")
    gsub(/\t/, "\\u0009")
    gsub(/\r/, "\\u000d")
    text = text $0 "\\n"
}

END { send() }
