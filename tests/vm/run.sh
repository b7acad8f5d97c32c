#!/bin/bash
# Boots the virtual machine and runs a command in it, as root, in this checkout. Its output and exit status are ours;
# 125: it came to no end. Whatever it changes is forgotten, but for $FRRCAM_VM_CACHE/share, its /mnt/frrcam.
#
# usage: run.sh [--systemd] COMMAND ARGUMENT...
#
# --systemd           a whole systemd is PID 1, with udevd, journald, logind and dbus; 15 seconds more
#
# FRRCAM_VM_CACHE     see build.sh
# FRRCAM_VM_ROOT      the machine's root directory (default /, this machine's own): see rootfs.sh
# FRRCAM_VM_MEMORY    default 4G
# FRRCAM_VM_SECONDS   how long it may take, default 3600
set -uo pipefail
init=command
if [ "${1:-}" = --systemd ]; then init=systemd; shift; fi
cache=$(readlink -m "${FRRCAM_VM_CACHE:-$HOME/.cache/frrcam/vm}")
mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || { echo "test-vm: waiting for another run to end" >&2; flock 9; }
here=$(dirname "$(readlink -f "$0")")
kernel=$("$here/build.sh") || exit
checkout=$(readlink -f "$here/../..")
# shellcheck source=tests/vm/require.sh
. "$here/require.sh"
if [ "${FRRCAM_VM_ROOT:-/}" = / ]; then # what runs in it is this machine's own
    require v4l2-ctl=v4l-utils ffmpeg=ffmpeg chromium-headless-shell=chromium-headless-shell \
        gst-launch-1.0=gstreamer1.0-tools /usr/lib/*/gstreamer-1.0/libgstvideo4linux2.so=gstreamer1.0-plugins-good \
        /lib/systemd/systemd=systemd /lib/systemd/systemd-udevd=udev dbus-daemon=dbus rtcwake=util-linux \
        /usr/lib/systemd/user/dbus.socket=dbus-user-session /usr/share/pam-configs/systemd=libpam-systemd \
        wireplumber=wireplumber pw-dump=pipewire-bin pipewire=pipewire \
        /usr/lib/*/gstreamer-1.0/libgstpipewire.so=gstreamer1.0-pipewire \
        /usr/libexec/xdg-desktop-portal=xdg-desktop-portal /usr/lib/python3/dist-packages/dbus=python3-dbus \
        /usr/lib/python3/dist-packages/gi=python3-gi
fi
share=$cache/share
[ $init = systemd ] && share=$cache/share-systemd
memory=${FRRCAM_VM_MEMORY:-4G}
rm -rf "$share"
mkdir -p "$share"
# for numpy, OpenCV and ONNX Runtime: a page fault takes 27 us in there, so memory is kept once it is allocated
cat >"$share/command" <<END
export MALLOC_MMAP_THRESHOLD_=2000000000 MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_TOP_PAD_=67108864 MALLOC_ARENA_MAX=1
$(printf '%q ' "$@")
END
: >"$share/output"

# the machine's memory is a file that must be executable, best on a tmpfs
for place in /dev/shm "${TMPDIR:-/tmp}"; do
    [ "$(df --output=avail -B1 "$place" | tail -1)" -ge "$(numfmt --from=iec "$memory")" ] && break
done

sockets=$(mktemp -d)
tail -n +1 -F "$share/output" 2>/dev/null 9>&- &
follower=$!
trap 'kill $follower 2>/dev/null; rm -rf "$sockets"' EXIT
# UML and glibc's restartable sequences do not go together
GLIBC_TUNABLES=glibc.pthread.rseq=0 TMPDIR=$place timeout -k 5 "${FRRCAM_VM_SECONDS:-3600}" "$kernel/linux.uml" \
    mem="$memory" rootfstype=hostfs rootflags="$kernel/initroot" ro init=/init quiet panic=-1 \
    vm_root="${FRRCAM_VM_ROOT:-/}" vm_modules="$kernel/modroot" vm_checkout="$checkout" vm_share="$share" \
    vm_init=$init vm_command=/mnt/frrcam/command \
    uml_dir="$sockets" umid=frrcam con0=null,fd:1 con=null ssl=null </dev/null >"$share/console" 2>&1 9>&-
sleep 0.3 # for the follower to catch up
[ -f "$share/status" ] || { tail -5 "$share/console" >&2; exit 125; }
exit "$(cat "$share/status")"
