"""An app in a pod: asks the sidecar on its localhost for tokens, from several threads, and counts what became of it.

    pod_app.py load URL [--threads N]          until SIGTERM, or until nobody listens any more
    pod_app.py job URL [--asks N] [--quit URL] so many, one after the other; then stops the sidecar, if it is to

The last line is a JSON object: how often which answer, and under "lost" how often none came to what was sent.
"""

import argparse, collections, http.client, json, signal, threading, urllib.parse

parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["load", "job"])
parser.add_argument("url")
parser.add_argument("--threads", type=int, default=8)
parser.add_argument("--asks", type=int, default=20)
parser.add_argument("--quit")
arguments = parser.parse_args()
sidecar = urllib.parse.urlsplit(arguments.url)
stopped = threading.Event()
tally, lock = collections.Counter(), threading.Lock()


def count(what):
    with lock:
        tally[what] += 1


def ask(connection, number):
    """One request. What became of it, or None if nobody listens."""
    path = f"/v1/embeds/sales/token?viewer_id=u-{number}&purpose=renew"
    try:
        if connection.sock is None:
            connection.connect()
    except OSError:
        return None
    try:
        connection.request("GET", path, headers={"Sidemint-Request": "true"})
        reply = connection.getresponse()
        body = json.loads(reply.read())
        if body.get("code") == "draining":
            # Whoever is told so has to wait. He may find another sidecar then.
            stopped.wait(float(reply.getheader("Retry-After", "1")))
        return f"{reply.status} {body.get('code', 'token')}"
    except (OSError, http.client.HTTPException, ValueError):
        connection.close()
        return "lost"


def go_on(thread):
    # A keep-alive connection, as any client has; http.client opens another one after `Connection: close`.
    connection, number = http.client.HTTPConnection(sidecar.hostname, sidecar.port, timeout=60), 0
    while not stopped.is_set():
        # Half are hits, half are minted.
        number += 1
        what = ask(connection, thread if number % 2 else f"{thread}-{number}")
        if what is None:
            return
        count(what)


if arguments.what == "load":
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    threads = [threading.Thread(target=go_on, args=(number,)) for number in range(arguments.threads)]
    for thread in threads:
        thread.start()
    print("under load", flush=True)
    for thread in threads:
        thread.join()
else:
    connection = http.client.HTTPConnection(sidecar.hostname, sidecar.port, timeout=60)
    for number in range(arguments.asks):
        count(ask(connection, number) or "nobody listens")
    connection.close()
    if arguments.quit:
        quit = urllib.parse.urlsplit(arguments.quit)
        connection = http.client.HTTPConnection(quit.hostname, quit.port, timeout=60)
        connection.request("POST", quit.path)
        count(f"quit {connection.getresponse().status}")
print(json.dumps(tally), flush=True)
