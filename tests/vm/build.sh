#!/bin/bash
# Builds what the tests boot: a User-Mode Linux kernel with Video4Linux, vivid and v4l2loopback, once as it is now and
# once as Debian 12 has it. Prints its folder.
#
# FRRCAM_VM_CACHE     where it is kept (default ~/.cache/frrcam/vm): 1.7 GB while building, 12 MB after
# FRRCAM_VM_PREBUILT  a .tar.gz with linux.uml and modroot/, taken instead of building
#
# Debian or Ubuntu. Missing packages are installed if we are root, else named. Eight minutes on two idle cores, once.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
cache=${FRRCAM_VM_CACHE:-$HOME/.cache/frrcam/vm}
kernel=$cache/kernel-$(cat "$here/build.sh" "$here"/uml-*.patch | sha256sum | cut -c1-12)

# shellcheck source=tests/vm/require.sh
. "$here/require.sh"

configure() {
    make -s defconfig >/dev/null
    # VMAP_STACK: an interrupt that meets a task whose stack is not mapped faults for ever, seen once in an hour.
    # VIRTIO_UML and UML_PCI_OVER_VIRTIO bring HAS_IOMEM and HAS_DMA, without which there is no Video4Linux
    ./scripts/config -e MODULES -e MODULE_UNLOAD -d MODVERSIONS -e EXPERT \
        -e VIRTIO_UML -e UML_PCI_OVER_VIRTIO --set-val UML_PCI_OVER_VIRTIO_DEVICE_ID 1234 \
        -m MEDIA_SUPPORT -d MEDIA_SUPPORT_FILTER -e MEDIA_CAMERA_SUPPORT -e MEDIA_TEST_SUPPORT -e MEDIA_PLATFORM_SUPPORT \
        -m VIDEO_DEV -e MEDIA_CONTROLLER -e VIDEO_V4L2_SUBDEV_API -e V4L_TEST_DRIVERS -m VIDEO_VIVID -m FB \
        -d MEDIA_ANALOG_TV_SUPPORT -d MEDIA_DIGITAL_TV_SUPPORT -d MEDIA_RADIO_SUPPORT -d MEDIA_SDR_SUPPORT -d RC_CORE \
        -d MEDIA_CEC_SUPPORT -d MEDIA_PCI_SUPPORT -d MEDIA_USB_SUPPORT -d V4L_PLATFORM_DRIVERS \
        -e HOSTFS -e TMPFS -e TMPFS_POSIX_ACL -e TMPFS_XATTR -e DEVTMPFS -d DEVTMPFS_MOUNT -e OVERLAY_FS \
        -e UNIX -e NET -e INET -e IPV6 -d IPV6_SIT -e POSIX_TIMERS -e HIGH_RES_TIMERS -e FUTEX -e EPOLL -e SIGNALFD \
        -e TIMERFD -e EVENTFD -e SHMEM -e AIO -e INOTIFY_USER -e FHANDLE -e POSIX_MQUEUE -e SYSVIPC -e MEMBARRIER \
        -e RSEQ -e PM -e SUSPEND -e RTC_CLASS -e UML_RTC -e CGROUPS -e CGROUP_PIDS -e CGROUP_SCHED -e MEMCG \
        -e CGROUP_FREEZER -e NAMESPACES -e USER_NS -e PID_NS -e NET_NS -e UTS_NS -e IPC_NS -e SECCOMP -e SECCOMP_FILTER \
        -e AUTOFS_FS -e BINFMT_MISC -e UNIX98_PTYS -e SOUND \
        -d GCC_PLUGINS -d WERROR -d DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT -d DEBUG_INFO_DWARF5 -d DEBUG_INFO_DWARF4 \
        -e DEBUG_INFO_NONE -d DEBUG_KERNEL -d VMAP_STACK -d WLAN -d ETHERNET
    make -s olddefconfig
    for option in VIDEO_VIVID=m VIDEO_DEV=m HOSTFS=y OVERLAY_FS=y HAS_DMA=y SUSPEND=y UML_RTC=y; do
        grep -q "^CONFIG_$option" .config || { say "the kernel cannot be configured with $option"; exit 1; }
    done
}

loopback() { # SOURCE RELEASE FILE: v4l2loopback as that Debian has it, by a package list of our own
    mkdir -p "lists-$2/partial" "cache-$2/archives/partial"
    local keys=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keys] http://deb.debian.org/debian $2 main" >"$2.list"
    local apt=(-q -o "Dir::Etc::sourcelist=$PWD/$2.list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=
        -o "Dir::State::lists=$PWD/lists-$2" -o "Dir::Cache=$PWD/cache-$2")
    apt-get "${apt[@]}" update >&2
    apt-get "${apt[@]}" download v4l2loopback-dkms >&2
    dpkg-deb -x v4l2loopback-dkms_*.deb "loopback-$2"
    rm v4l2loopback-dkms_*.deb
    make -s -C "$1" M="$(echo "$PWD/loopback-$2"/usr/src/v4l2loopback-*)" modules >>build.log 2>&1
    strip -g "loopback-$2"/usr/src/v4l2loopback-*/v4l2loopback.ko -o "$3"
    rm -r "loopback-$2" "lists-$2" "cache-$2" "$2.list"
}

build() {
    require flex=flex bison=bison bc=bc gcc=gcc make=make xz=xz-utils depmod=kmod patch=patch \
        /usr/include/libelf.h=libelf-dev /usr/src/linux-source-6.1.tar.xz=linux-source-6.1 \
        /usr/share/keyrings/debian-archive-keyring.gpg=debian-archive-keyring
    say "building the kernel: about eight minutes, once"
    export ARCH=um
    tar xf /usr/src/linux-source-6.1.tar.xz
    local source=$PWD/linux-source-6.1 release
    (cd "$source" && cat "$here"/uml-*.patch | patch -s -p1 && configure && make -s "-j$(nproc)" linux modules) \
        >build.log 2>&1 || { say "failed; see $PWD/build.log"; exit 1; }
    cp "$source/linux" linux.uml
    strip linux.uml
    cp "$source/.config" config
    release=$(make -s -C "$source" kernelrelease)
    make -s -C "$source" INSTALL_MOD_PATH="$PWD/modroot/usr" INSTALL_MOD_STRIP=1 modules_install
    rm -f "modroot/usr/lib/modules/$release/"{build,source}
    mkdir "modroot/usr/lib/modules/$release/extra" modroot/usr/lib/frrcam-vm
    loopback "$source" trixie "modroot/usr/lib/modules/$release/extra/v4l2loopback.ko"
    loopback "$source" bookworm modroot/usr/lib/frrcam-vm/v4l2loopback-old.ko # not where modprobe looks
    depmod -b "$PWD/modroot/usr" "$release"
    rm -rf "$source"
}

require busybox=busybox-static
if [ ! -d "$kernel" ]; then
    rm -rf "$kernel.part"
    mkdir -p "$kernel.part"
    cd "$kernel.part"
    if [ -n "${FRRCAM_VM_PREBUILT:-}" ]; then
        tar xf "$FRRCAM_VM_PREBUILT" linux.uml modroot
    else
        build
    fi
    mkdir -p initroot/{bin,proc,sys,dev,overlay,root}
    cp "$(command -v busybox)" initroot/bin/busybox
    mv "$kernel.part" "$kernel"
fi
cp "$here/init" "$kernel/initroot/init"
echo "$kernel"
