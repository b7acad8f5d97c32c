#!/bin/bash
# Builds a root directory for the virtual machine, where this machine's own will not do: another distribution than
# Debian or Ubuntu, other versions. Debian 12 with what the tests use, and frrcam's Python packages in /opt/frrcam.
#
# usage, as root: rootfs.sh DIRECTORY      (1.9 GB; five minutes)
# then:           make test-vm FRRCAM_VM_ROOT=DIRECTORY FRRCAM_VM_PYTHON=/opt/frrcam/bin/python
set -euo pipefail
root=$(readlink -m "${1:?usage: rootfs.sh DIRECTORY}")
checkout=$(readlink -f "$(dirname "$0")/../..")
command -v debootstrap >/dev/null || apt-get install -y -q --no-install-recommends debootstrap

packages='ca-certificates busybox-static ffmpeg python3-venv libgl1 libglib2.0-0 util-linux v4l-utils
chromium-headless-shell gstreamer1.0-tools gstreamer1.0-plugins-good pipewire gstreamer1.0-pipewire wireplumber xdg-desktop-portal
python3-dbus python3-gi
systemd systemd-sysv udev dbus dbus-user-session libpam-systemd'
debootstrap --variant=minbase \
    --include="$(tr -s ' \n' , <<<"$packages" | sed 's/,$//')" \
    bookworm "$root" "${FRRCAM_VM_MIRROR:-http://deb.debian.org/debian}"
cp -a /etc/ssl/certs/. "$root/etc/ssl/certs/" # a company's own authority among them
cp /etc/resolv.conf "$root/etc/resolv.conf"
if [ -f /etc/pip.conf ]; then cp /etc/pip.conf "$root/etc/pip.conf"; fi

mkdir -p "$root/tmp/frrcam"
cp -r "$checkout"/{pyproject.toml,README.md,LICENSE,frrcam,weights,systemd} "$root/tmp/frrcam/"
python=/opt/frrcam/bin/python
chroot "$root" python3 -m venv /opt/frrcam
chroot "$root" $python -m pip install -q --no-cache-dir /tmp/frrcam pytest
chroot "$root" $python -m pip uninstall -q -y frrcam # the checkout's is tested
rm -rf "$root/tmp/frrcam" "$root"/var/cache/apt/archives/*.deb
