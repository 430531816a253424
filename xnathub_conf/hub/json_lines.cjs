// Makes each line that configurable-http-proxy logs one JSON object, as the hub's own are: `node --require` loads it first.
const form = /^[0-9TZ:.+-]+ \[(\w+)\] (?:\x1b\[\d+m)?(\w+)(?:\x1b\[\d+m)?: ([^]*)$/;
for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream);
  stream.write = (chunk, ...rest) => {
    const text = chunk.toString().trimEnd();
    const [, logger, level, message] = form.exec(text) ?? [null, "ConfigProxy", "info", text];
    const entry = { level: level.toUpperCase(), logger, message, time: new Date().toISOString() };
    return write(JSON.stringify(entry) + "\n", ...rest);
  };
}
