# A host app with Python alone: one page, and one POST to the sidecar for its tokens.
#     SIDEMINT_URL=http://127.0.0.1:8190 EMBED=default python3 examples/host-app/app.py

import http.client, json, os, pathlib, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = pathlib.Path(__file__).resolve().parent
SIDECAR = urllib.parse.urlsplit(os.environ.get("SIDEMINT_URL", "http://127.0.0.1:8190"))
EMBED = os.environ.get("EMBED", "default")
# The vendor's browser client: the URL of its module, as the vendor's page on embedding gives it. Unset: the demo's.
CLIENT = os.environ.get("AIBI_CLIENT")
STAND_IN = HERE / "../../src/demo/page/embed-client.js"


def viewer_of(request):
    """Who looks. Yours comes from the session of a signed-in user, never from what the browser says."""
    return {"id": os.environ.get("VIEWER_ID", "u-4711"), "value": os.environ.get("VIEWER_VALUE", "emea")}


def ask(viewer, purpose):
    body = json.dumps({"viewer": viewer, "purpose": purpose})
    headers = {"Sidemint-Request": "true", "Content-Type": "application/json"}
    sidecar = http.client.HTTPConnection(SIDECAR.hostname, SIDECAR.port, timeout=70)
    try:
        sidecar.request("POST", f"/v1/embeds/{EMBED}/token", body, headers)
        reply = sidecar.getresponse()
        return reply.status, reply.getheader("Retry-After"), reply.read()
    except OSError:
        return 503, "1", b'{"detail": "the sidecar does not answer"}'
    finally:
        sidecar.close()


class App(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/":
            self.answer(200, "text/html; charset=utf-8", (HERE / "page.html").read_bytes())
        elif url.path == "/token":
            status, wait, body = ask(viewer_of(self), "renew" if url.query == "purpose=renew" else "load")
            retry = {"Retry-After": wait} if wait else {}
            self.answer(status, "application/json", body, {"Cache-Control": "no-store", **retry})
        elif url.path == "/client.js" and CLIENT:
            self.answer(302, "text/plain", b"", {"Location": CLIENT})
        elif url.path == "/client.js":
            self.answer(200, "text/javascript", STAND_IN.read_bytes())
        else:
            self.answer(404, "text/plain", b"not here\n")

    def answer(self, status, kind, body, headers={}):
        self.send_response(status)
        for header in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), App)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
