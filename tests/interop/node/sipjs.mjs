// SIP.js registers over WebSocket with digest, says what it hears, sends a MESSAGE to each line on stdin.
import WebSocket from "ws";
globalThis.WebSocket = WebSocket;
const { UserAgent, Registerer, Messager } = await import("sip.js");
const [url, user, password] = process.argv.slice(2);
const say = (what, more = "") => console.log(JSON.stringify([what, String(more)]));
const ua = new UserAgent({
  uri: UserAgent.makeURI(`sip:${user}@kamtool.test`),
  transportOptions: { server: url },
  authorizationUsername: user, authorizationPassword: password, logLevel: "error",
  delegate: { onMessage: (message) => { say("message", message.request.body); message.accept(); } },
});
await ua.start();
say("connected");
const registerer = new Registerer(ua);
registerer.stateChange.addListener((state) => say(state.toLowerCase()));
await registerer.register({ requestDelegate: { onReject: (r) => say("refused", r.message.statusCode) } });
process.stdin.on("data", async (line) => {
  if (String(line).trim() === "end") { await registerer.unregister(); return; }
  const messager = new Messager(ua, UserAgent.makeURI(String(line).trim()), "hello from sip.js");
  await messager.message({ requestDelegate: {
    onAccept: (r) => say("sent", r.message.statusCode), onReject: (r) => say("failed", r.message.statusCode) } });
});
