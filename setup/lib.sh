# shellcheck shell=bash
# What the set-up scripts share: messages and the reading of package lists.  Sourced, never run.

# Messages go to standard error, so that a target's own output stays clean.
say() { printf 'setup: %s\n' "$*" >&2; }
warn() { printf 'setup: warning: %s\n' "$*" >&2; }
fail() {
    printf 'setup: error: %s\n' "$*" >&2
    exit 1
}

# list_rows FILE -> "package<TAB>program<TAB>rank<TAB>purpose", one a line.
# A malformed line is an error: a package that is silently left out is found much too late.
list_rows() {
    awk -v OFS='\t' '
        /^[[:space:]]*(#|$)/ { next }
        {
            purpose = ""
            at = index($0, "#")
            if (at) { purpose = substr($0, at + 1); $0 = substr($0, 1, at - 1) }
            sub(/^[[:space:]]+/, "", purpose)
            if (NF != 3 || ($3 != "must" && $3 != "want") || purpose == "") {
                printf "setup: error: %s:%d: expected \"package program must|want # purpose\"\n", \
                    FILENAME, FNR > "/dev/stderr"
                bad = 1
                exit 1
            }
            print $1, $2, $3, purpose
        }
        END { exit bad }
    ' "$1"
}

# Does this machine keep its packages with dpkg?
has_dpkg() { command -v dpkg-query >/dev/null 2>&1; }

# package_present PACKAGE PROGRAM: is it here?  By package where dpkg knows, else by program.
package_present() {
    if has_dpkg; then
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
    else
        [ "$2" = - ] || PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$2" >/dev/null 2>&1
    fi
}

# missing_rows FILE... -> the rows of those packages which are not here.
missing_rows() {
    local file rows package program rank purpose
    for file in "$@"; do
        rows=$(list_rows "$file") || return 1
        while IFS=$'\t' read -r package program rank purpose; do
            [ -n "$package" ] || continue
            package_present "$package" "$program" ||
                printf '%s\t%s\t%s\t%s\n' "$package" "$program" "$rank" "$purpose"
        done <<<"$rows"
    done
}
