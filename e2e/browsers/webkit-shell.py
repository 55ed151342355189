"""A small browser around WebKitGTK, for WebKitWebDriver. WebKit's own MiniBrowser has no profile when it is automated, and
without a profile there is no file system (OPFS) and no service worker.

Arguments: the profile's folder, the proxy's URL, and the names of WebKit's features to enable, separated by commas.
"""
import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("WebKit2", "4.1")
from gi.repository import Gtk, WebKit2  # noqa: E402

profile, proxy, features = sys.argv[1:4]

manager = WebKit2.WebsiteDataManager(base_data_directory=profile, base_cache_directory=f"{profile}/cache")
# Without hosts to ignore, requests to localhost go through the proxy too.
manager.set_network_proxy_settings(WebKit2.NetworkProxyMode.CUSTOM, WebKit2.NetworkProxySettings.new(proxy, []))
context = WebKit2.WebContext(website_data_manager=manager)
context.set_automation_allowed(True)

settings = WebKit2.Settings()
available = WebKit2.Settings.get_all_features()
wanted = set(features.split(","))
for index in range(available.get_length()):
    feature = available.get(index)
    if feature.get_identifier() in wanted:
        settings.set_feature_enabled(feature, True)
        wanted.remove(feature.get_identifier())
if wanted:
    sys.exit(f"This WebKit has no feature named {', '.join(sorted(wanted))}.")


window = Gtk.Window(default_width=1280, default_height=800)
tabs = Gtk.Notebook(show_tabs=False)
window.add(tabs)
window.show_all()


def open_view(_session):
    """Opens a tab in front, which hides the others."""
    view = WebKit2.WebView(web_context=context, settings=settings, is_controlled_by_automation=True)
    view.connect("close", lambda view: view.destroy())
    view.show()
    tabs.set_current_page(tabs.append_page(view))
    return view


def start_session(_context, session):
    info = WebKit2.ApplicationInfo()
    info.set_name("rivulet-webkit-shell")
    info.set_version(WebKit2.get_major_version(), WebKit2.get_minor_version(), WebKit2.get_micro_version())
    session.set_application_info(info)
    session.connect("create-web-view", open_view)


context.connect("automation-started", start_session)
Gtk.main()
