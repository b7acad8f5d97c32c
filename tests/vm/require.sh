# Sourced: a way to speak, and a way to see to it that what is needed is there.
say() { echo "test-vm: $*" >&2; }

require() { # COMMAND-OR-GLOB=PACKAGE ...   installs the packages if we are root, else names them and ends
    local missing=() pair
    for pair; do
        compgen -G "${pair%%=*}" >/dev/null || command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} = 0 ] && return
    if [ "$(id -u)" != 0 ]; then
        say "run first: sudo apt-get install --no-install-recommends ${missing[*]}"
        exit 1
    fi
    say "installing ${missing[*]}"
    apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
}
