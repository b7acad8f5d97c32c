"""A program in a sandbox, which asks the portal for a camera; and the desktop's part of it, the user who says yes.

Run by Debian's own Python, which has D-Bus. portal_client.py: the user; portal_client.py FILE COUNT: the program, which
writes a given number of pictures (I420).
"""

import subprocess
import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

ACCESS, CAMERA = "org.freedesktop.impl.portal.Access", "org.freedesktop.portal.Camera"
OBJECT = "/org/freedesktop/portal/desktop"
ANSWER_S = 30


class User(dbus.service.Object):
    """The dialogue that a desktop shows."""

    @dbus.service.method(ACCESS, in_signature="osssssa{sv}", out_signature="ua{sv}")
    def AccessDialog(self, handle, app, parent, title, subtitle, body, options):  # noqa: N802 (D-Bus's name)
        print(f"asked: {title}", flush=True)
        return 0, {}


def play_user() -> None:
    """Until killed."""
    bus = dbus.SessionBus()
    name = dbus.service.BusName("org.freedesktop.impl.portal.desktop.played", bus)
    User(name, OBJECT)
    print("user: is there", flush=True)
    GLib.MainLoop().run()


def read(place: str, count: str) -> None:
    """Asks for a camera and reads it."""
    bus, loop, answers = dbus.SessionBus(), GLib.MainLoop(), []
    desktop = bus.get_object("org.freedesktop.portal.Desktop", OBJECT)
    present = desktop.Get(CAMERA, "IsCameraPresent", dbus_interface="org.freedesktop.DBus.Properties")
    print(f"camera present: {bool(present)}", flush=True)

    def answered(code: int, results: object) -> None:
        answers.append(int(code))
        loop.quit()

    bus.add_signal_receiver(answered, "Response", "org.freedesktop.portal.Request")
    GLib.timeout_add_seconds(ANSWER_S, loop.quit)
    desktop.AccessCamera({}, dbus_interface=CAMERA, reply_handler=lambda request: None, error_handler=print)
    loop.run()
    print(f"answer: {answers} (0: allowed)", flush=True)
    remote = desktop.OpenPipeWireRemote({}, dbus_interface=CAMERA).take()
    wire = "video/x-raw,format=I420,width=640,height=480"
    play = ("gst-launch-1.0", "-q", "pipewiresrc", f"fd={remote}", "target-object=frrcam", f"num-buffers={count}")
    subprocess.run([*play, "!", wire, "!", "filesink", f"location={place}"], pass_fds=[remote], timeout=60, check=True)


if __name__ == "__main__":
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    if sys.argv[1:]:
        read(*sys.argv[1:])
    else:
        play_user()
