// A token that the host's app has put behind the # of this page goes on to the chat, the same way.
// It is never sent anywhere, and does not stay in the address bar.
const given = new URLSearchParams(location.hash.slice(1));
const join = document.getElementById("join");

if (join !== null && given.has("token")) {
  const onward = new URLSearchParams(new URL(join.href).hash.slice(1));
  onward.set("token", given.get("token"));
  join.href = `/chat#${onward}`;
  history.replaceState(null, "", location.pathname);
}
