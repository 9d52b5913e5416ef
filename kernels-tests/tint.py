#!/usr/bin/env python3
"""Compiles WGSL with Tint, the front end of Chromium's WebGPU: a second opinion on what naga accepts.

    cargo test --release --test kernels portability    # writes every assembled shader to target/tmp/shaders
    kernels-tests/tint.py target/tmp/shaders           # exit status 1 when Tint refuses one; needs chromium

Modules that ask for f16 or for extensions of naga's own are listed and left out.
"""

import http.server
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

PATIENCE = 300  # s
PAGE = """<!doctype html><script>
async function judge() {
  const modules = await (await fetch("/modules")).json();
  const device = await (await navigator.gpu.requestAdapter()).requestDevice();
  const refused = {};
  for (const [name, code] of Object.entries(modules)) {
    device.pushErrorScope("validation");
    const info = await device.createShaderModule({ code }).getCompilationInfo();
    await device.popErrorScope();
    const errors = info.messages.filter((message) => message.type === "error");
    if (errors.length) refused[name] = errors.map((error) => `line ${error.lineNum}: ${error.message}`);
  }
  return { count: Object.keys(modules).length, refused };
}
judge().catch((error) => ({ failure: String(error) }))
  .then((answer) => fetch("/answer", { method: "POST", body: JSON.stringify(answer) }));
</script>"""


def main(folder):
    texts = {path.name: path.read_text() for path in sorted(pathlib.Path(folder).glob("*.wgsl"))}
    if not texts:
        sys.exit(f"{folder} holds no *.wgsl; cargo test --release --test kernels portability writes them")
    apart = {name for name, text in texts.items() if "enable f16" in text or "enable wgpu_" in text}
    modules = {name: text for name, text in texts.items() if name not in apart}
    done, answers = threading.Event(), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def send(self, body, kind):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def do_GET(self):
            if self.path == "/modules":
                self.send(json.dumps(modules), "application/json")
            else:
                self.send(PAGE, "text/html")

        def do_POST(self):
            answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send("", "text/plain")
            done.set()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    profile = tempfile.mkdtemp()
    browser = subprocess.Popen(
        [
            shutil.which("chromium") or sys.exit("missing: chromium"),
            "--headless=new",
            "--no-sandbox",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-unsafe-webgpu",
            "--use-webgpu-adapter=swiftshader",
            f"--user-data-dir={profile}",
            f"http://127.0.0.1:{server.server_port}/",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    done.wait(PATIENCE)
    browser.terminate()
    browser.wait()
    shutil.rmtree(profile, ignore_errors=True)
    if not answers or "failure" in answers[0]:
        sys.exit(f"no verdict from the browser: {answers}")
    refused = answers[0]["refused"]
    for name, errors in refused.items():
        print(name, texts[name].splitlines()[0], *errors, sep="\n  ")
    for name in sorted(apart):
        print(f"{name}: left out ({texts[name].splitlines()[0].strip('/ ')} asks for what Chromium does not have here)")
    print(f"Tint: {answers[0]['count']} modules, {len(refused)} refused, {len(apart)} left out")
    return bool(refused)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else __doc__)
