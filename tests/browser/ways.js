// Every way by which a page can ask for something, each of which tries to get at `grab` and gives what the page saw of it.
// They run in a page of XNAT's own origin, and in one of another site. `only` names those that are wanted, null for all.
async ({ grab, token, only }) => {
  const url = (way, type) => `${grab}?way=${encodeURIComponent(way)}${type ? `&type=${encodeURIComponent(type)}` : ""}`;
  const SCRIPT = "text/javascript";
  const text = async (answer) => `${answer.status} ${await answer.text()}`;
  const loaded = (element, see = () => "loaded") =>
    new Promise((done) => {
      element.onload = () => done(see());
      element.onerror = () => done("error");
      document.documentElement.append(element);
    });
  const make = (name, attributes) => Object.assign(document.createElement(name), attributes);
  const inside = (frame) => () => {
    try {
      return frame.contentDocument.documentElement.textContent;
    } catch (error) {
      return `out of reach: ${error.name}`;
    }
  };
  const frame = (name, attributes) => {
    const element = make(name, attributes);
    return loaded(element, inside(element));
  };
  const form = (way, method, target) => {
    const element = make("form", { action: url(way), method, target });
    element.append(make("input", { name: "way", value: way }), make("input", { name: "x", value: "y" }));
    document.documentElement.append(element);
    element.submit();
  };
  const intoFrame = (way, method) => {
    const element = make("iframe", { name: way });
    const seen = loaded(element, inside(element));
    return seen.then(() => {
      const again = new Promise((done) => (element.onload = () => done(inside(element)())));
      form(way, method, way);
      return again;
    });
  };
  const link = (way, attributes) => {
    const element = make("a", { href: url(way), textContent: "x", ...attributes });
    document.documentElement.append(element);
    element.click();
  };
  const head = (attributes) => loaded(make("link", attributes));
  const message = (worker) =>
    new Promise((done) => {
      worker.onerror = () => done("error");
      (worker.port ?? worker).onmessage = ({ data }) => done(data);
    });
  const styled = (way, css, html = "") => {
    const element = make("div", { innerHTML: html });
    element.append(make("style", { textContent: css }));
    document.documentElement.append(element);
  };
  const blob = (source) => new Worker(URL.createObjectURL(new Blob([source], { type: SCRIPT })));
  const base = grab.slice(0, grab.indexOf("/user/"));
  const path = (way) => encodeURIComponent(new URL(url(way)).pathname + new URL(url(way)).search);
  const authorization = { Authorization: `token ${token}` };

  const ways = {
    fetch: async (way) => text(await fetch(url(way))),
    "fetch, no-cors": async (way) => text(await fetch(url(way), { mode: "no-cors", credentials: "include" })),
    "fetch, without cookies": async (way) => text(await fetch(url(way), { credentials: "omit" })),
    "fetch, with her token": async (way) => text(await fetch(url(way), { headers: authorization })),
    "fetch, with her token and no cookies": async (way) =>
      text(await fetch(url(way), { headers: authorization, credentials: "omit" })),
    "fetch, that says it is a page": async (way) => text(await fetch(url(way), { headers: { Accept: "text/html" } })),
    "fetch, no redirects": async (way) => text(await fetch(url(way), { redirect: "error" })),
    "fetch, keepalive": async (way) => text(await fetch(url(way), { keepalive: true })),
    "fetch, letters in percent": async (way) => text(await fetch(url(way).replace("/demo/", "/%64emo/"))),
    "fetch, dots": async (way) => text(await fetch(url(way).replace("/demo/", "/alice/../demo/"))),
    "fetch, dots in percent": async (way) => text(await fetch(url(way).replace("/demo/", "/alice/%2e%2e/demo/"))),
    "fetch, doubled slashes": async (way) => text(await fetch(url(way).replace("/demo/", "//demo//"))),
    "fetch, slash in percent": async (way) => text(await fetch(url(way).replace("/demo/", "/demo%2f"))),
    post: async (way) => text(await fetch(url(way), { method: "POST", body: "a=b" })),
    put: async (way) => text(await fetch(url(way), { method: "PUT", body: "{}" })),
    delete: async (way) => text(await fetch(url(way), { method: "DELETE" })),
    patch: async (way) => text(await fetch(url(way), { method: "PATCH", body: "{}" })),
    "XMLHttpRequest": (way) =>
      new Promise((done) => {
        const request = new XMLHttpRequest();
        request.onloadend = () => done(`${request.status} ${request.responseText}`);
        request.open("GET", url(way));
        request.send();
      }),
    beacon: (way) => String(navigator.sendBeacon(url(way), "x")),
    image: (way) => loaded(make("img", { src: url(way, "image/png") })),
    script: (way) => loaded(make("script", { src: url(way, SCRIPT) }), () => String(window.grabbed)),
    "module": async (way) => {
      await import(url(way, SCRIPT));
      return String(window.grabbed);
    },
    style: (way) => head({ rel: "stylesheet", href: url(way, "text/css") }),
    prefetch: (way) => head({ rel: "prefetch", href: url(way) }),
    preload: (way) => head({ rel: "preload", as: "fetch", href: url(way), crossOrigin: "use-credentials" }),
    "module preload": (way) => head({ rel: "modulepreload", href: url(way, SCRIPT) }),
    icon: (way) => {
      document.documentElement.append(make("link", { rel: "icon", href: url(way, "image/png") }));
    },
    prerender: (way) => {
      const rules = { prerender: [{ urls: [url(way)], eagerness: "immediate" }] };
      document.documentElement.append(make("script", { type: "speculationrules", textContent: JSON.stringify(rules) }));
    },
    "speculative prefetch": (way) => {
      const rules = { prefetch: [{ urls: [url(way)], eagerness: "immediate" }] };
      document.documentElement.append(make("script", { type: "speculationrules", textContent: JSON.stringify(rules) }));
    },
    frame: (way) => frame("iframe", { src: url(way) }),
    "frame in a sandbox": (way) => {
      const element = make("iframe", { src: url(way) });
      element.sandbox = "allow-scripts allow-forms";
      return loaded(element, inside(element));
    },
    "frame by srcdoc": (way) =>
      frame("iframe", { srcdoc: `<iframe src="${url(way)}" onload="document.title=this.contentDocument.body.textContent">` }),
    object: (way) => frame("object", { data: url(way), type: "text/html" }),
    embed: (way) => frame("embed", { src: url(way), type: "text/html" }),
    "form into a frame": (way) => intoFrame(way, "get"),
    "form with post into a frame": (way) => intoFrame(way, "post"),
    "form into a window": (way) => form(way, "get", "_blank"),
    "form with post into a window": (way) => form(way, "post", "_blank"),
    "window.open": (way) => {
      window.open(url(way), "_blank", "popup");
    },
    "link to a window": (way) => link(way, { target: "_blank", rel: "opener" }),
    "link with a ping": (way) => link(way, { href: "#x", ping: url(way) }),
    download: (way) => link(way, { download: "x", target: "_blank" }),
    video: (way) => loaded(make("video", { src: url(way, "video/mp4"), preload: "auto" })),
    track: (way) => {
      const element = make("video", {});
      element.append(make("track", { src: url(way, "text/vtt"), default: true, kind: "subtitles" }));
      document.documentElement.append(element);
    },
    font: async (way) => String(await new FontFace("x", `url(${url(way, "font/woff2")})`).load()),
    EventSource: (way) =>
      new Promise((done) => {
        const source = new EventSource(url(way, "text/event-stream"));
        const end = (said) => (source.close(), done(said));
        source.onmessage = ({ data }) => end(data);
        source.onerror = () => end("error");
      }),
    websocket: (way) =>
      new Promise((done) => {
        const socket = new WebSocket(url(way).replace("/grab", "/socket").replace("http", "ws"));
        socket.onmessage = ({ data }) => done(data);
        socket.onclose = ({ code }) => done(`closed ${code}`);
      }),
    "websocket, with her token": (way) =>
      new Promise((done) => {
        const socket = new WebSocket(`${url(way).replace("/grab", "/socket").replace("http", "ws")}&token=${token}`);
        socket.onmessage = ({ data }) => done(data);
        socket.onclose = ({ code }) => done(`closed ${code}`);
      }),
    worker: (way) => message(new Worker(url(way, SCRIPT))),
    "shared worker": (way) => message(new SharedWorker(url(way, SCRIPT))),
    "fetch, head": async (way) => text(await fetch(url(way), { method: "HEAD" })),
    "fetch, a range": async (way) => text(await fetch(url(way), { headers: { Range: "bytes=0-3" } })),
    "fetch, from the cache": async (way) => text(await fetch(url(way), { cache: "force-cache" })),
    "fetch, at once by sign-in": async (way) => text(await fetch(`${base}/hub/login?next=${path(way)}`)),
    "fetch, at once by the gate's page": async (way) => text(await fetch(`${base}/hub/gate?next=${path(way)}`)),
    "fetch, with her token in the address": async (way) => text(await fetch(`${url(way)}&token=${token}`)),
    "XMLHttpRequest that waits": (way) => {
      const request = new XMLHttpRequest();
      request.open("GET", url(way), false);
      request.send();
      return `${request.status} ${request.responseText}`;
    },
    "frame, by sign-in": (way) => frame("iframe", { src: `${base}/hub/login?next=${path(way)}` }),
    "frame, by the gate's page": (way) => frame("iframe", { src: `${base}/hub/gate?next=${path(way)}` }),
    "frame, with her token": (way) => frame("iframe", { src: `${url(way)}&token=${token}` }),
    "frame that moves itself": (way) => frame("iframe", { srcdoc: `<meta http-equiv="refresh" content="0;url=${url(way)}">` }),
    "window.open, with her token": (way) => {
      window.open(`${url(way)}&token=${token}`, "_blank", "popup");
    },
    "script of another kind": (way) => loaded(make("script", { src: url(way, SCRIPT), crossOrigin: "use-credentials" }), () => String(window.grabbed)),
    "image set": (way) => loaded(make("img", { srcset: `${url(way, "image/png")} 1x` })),
    "picture of a vector graphic": (way) => {
      styled(way, "", `<svg><image href="${url(way, "image/png")}"/></svg>`);
    },
    "button with an image": (way) => loaded(make("input", { type: "image", src: url(way, "image/png") })),
    poster: (way) => {
      document.documentElement.append(make("video", { poster: url(way, "image/png") }));
    },
    audio: (way) => loaded(make("audio", { src: url(way, "audio/mpeg"), preload: "auto" })),
    "background of a style": (way) => styled(way, `body { background: url("${url(way, "image/png")}") }`),
    "style that imports": (way) => styled(way, `@import url("${url(way, "text/css")}");`),
    "font of a style": (way) =>
      styled(way, `@font-face { font-family: grab; src: url("${url(way, "font/woff2")}") } p.grab { font-family: grab }`, '<p class="grab">x</p>'),
    manifest: (way) => {
      document.head.append(make("link", { rel: "manifest", href: url(way, "application/json"), crossOrigin: "use-credentials" }));
    },
    "worker of a blob that fetches": (way) =>
      message(blob(`fetch(${JSON.stringify(url(way))}).then((a) => a.text()).then(postMessage, () => postMessage("error"))`)),
    "worker of a blob that imports": (way) =>
      message(blob(`try { importScripts(${JSON.stringify(url(way, SCRIPT))}); postMessage(self.grabbed) } catch { postMessage("error") }`)),
    "worker that is a module": (way) => message(new Worker(url(way, SCRIPT), { type: "module" })),
    "worklet": async (way) => String(await new AudioContext().audioWorklet.addModule(url(way, SCRIPT))),
    "service worker": async (way) => String(await navigator.serviceWorker.register(url(way, SCRIPT))),
    "service worker for all": async (way) => String(await navigator.serviceWorker.register(url(way, SCRIPT), { scope: "/" })),
  };

  const late = () => new Promise((done) => setTimeout(done, 3000, "nothing"));
  const seen = {};
  for (const [way, run] of Object.entries(ways)) {
    if (only && !only.includes(way)) continue;
    const tried = (async () => String(await run(way)))().catch((error) => `${error.name}: ${error.message}`);
    seen[way] = tried;
  }
  for (const way in seen) seen[way] = await Promise.race([seen[way], late()]);
  return seen;
};
