// Connects as the Control UI does and says in the page what came of it.
const { openclawControlUiBasePath: base, openclawControlUiBuildId: buildId } =
  document.documentElement.dataset;
const scheme = location.protocol === "https:" ? "wss" : "ws";
const state = document.getElementById("state");
const socket = new WebSocket(`${scheme}://${location.host}${base}`);
socket.onmessage = ({ data }) => {
  const frame = JSON.parse(data);
  if (frame.event === "connect.challenge") {
    socket.send(JSON.stringify({
      type: "req",
      id: "1",
      method: "connect",
      params: {
        minProtocol: 4,
        maxProtocol: 4,
        client: {
          id: "openclaw-control-ui",
          version: "2026.9.6",
          buildId,
          platform: "web",
          mode: "webchat",
        },
        role: "operator",
        scopes: ["operator.read", "operator.write", "operator.approvals"],
      },
    }));
  } else if (frame.id === "1") {
    state.textContent = frame.ok ? "Connected" : `Refused: ${frame.error.message}`;
  }
};
socket.onclose = ({ code, reason }) => {
  if (state.textContent === "Connected" || state.textContent === "Connecting") {
    state.textContent = `Disconnected: ${code} ${reason}`;
  }
};
