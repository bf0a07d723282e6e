# The table that the graft pkgindex keeps, worked out a second time without it: for each section the number of packages, their
# Installed-Size together, and the name of the largest. The rules for odd stanzas are those at the top of grafts/pkgindex/index.h.
#   awk -f table.awk /var/lib/dpkg/status                    all stanzas
#   awk -v only=FILE -f table.awk /var/lib/dpkg/status       those whose numbers are in FILE, one a line, from 1
#   awk -v each=1 -f table.awk /var/lib/dpkg/status          a line for each stanza: number, section, size, name
# Run it under LC_ALL=C, and sort the rows.

BEGIN {
    OFS = "\t"
    while (only != "" && (getline number < only) > 0)
        wanted[number + 0] = 1
}

function add()
{
    stanza++
    if (section == "")
        section = "(none)"
    if (size !~ /^[0-9]+$/)
        size = 0
    size += 0
    if (each)
        print stanza, section, size, name
    if (only == "" || stanza in wanted) {
        if (!(section in count) || size > best[section] || (size == best[section] && (name "") < (largest[section] ""))) {
            best[section] = size
            largest[section] = name
        }
        count[section]++
        total[section] += size
    }
    name = section = size = ""
    inside = 0
}

# The value of a line "Field: value".
function value() { sub(/^[^:]*:[ \t]*/, ""); sub(/[ \t\r]+$/, ""); return $0 }

/^[ \t]*$/ { if (inside) add(); next }
{ inside = 1; field = tolower($0); sub(/:.*/, "", field) }
field == "package" && name == "" { name = value() }
field == "section" && section == "" { section = value() }
field == "installed-size" && size == "" { size = value() }

END {
    if (inside)
        add()
    for (section in count)
        if (!each)
            printf "%s\t%d\t%.0f\t%s\n", section, count[section], total[section], largest[section]
}
