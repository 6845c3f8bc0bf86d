// JsSIP registers over WebSocket with digest, says what it hears, sends a MESSAGE to each line on stdin.
globalThis.WebSocket = require("ws");
const JsSIP = require("jssip");
const [url, user, password] = process.argv.slice(2);
const say = (what, more = "") => console.log(JSON.stringify([what, String(more)]));
const ua = new JsSIP.UA({
  sockets: [new JsSIP.WebSocketInterface(url)],
  uri: `sip:${user}@kamtool.test`, password, register: true, session_timers: false,
});
ua.on("connected", () => say("connected"));
ua.on("registered", () => say("registered"));
ua.on("registrationFailed", (e) => say("refused", e.cause));
ua.on("newMessage", (e) => { if (e.originator === "remote") say("message", e.request.body); });
process.stdin.on("data", (line) => {
  if (String(line).trim() === "end") { ua.once("unregistered", () => { say("unregistered"); process.exit(0); }); ua.unregister(); }
  else ua.sendMessage(String(line).trim(), "hello from jssip", {
    eventHandlers: { succeeded: (e) => say("sent", e.response.status_code), failed: (e) => say("failed", e.cause) } });
});
ua.start();
