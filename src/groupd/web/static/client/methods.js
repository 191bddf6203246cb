/** What the client must know of the methods. A test compares it with `proto/schema.json`. */

/** Methods that change something, and by an `id` do so once. */
const COMMANDS = new Set([
  "accept_invite", "accept_transfer", "acknowledge", "announce", "approve", "ban", "block",
  "create", "decline", "decline_invite", "decline_transfer", "direct", "dissolve",
  "do_not_disturb", "edit", "invite", "join", "kick", "leave", "mark_unread", "mute", "mute_all",
  "operator_ban", "operator_dissolve",
  "pin", "pin_chat", "post", "react", "recall", "revoke_link", "set_nickname", "set_role",
  "share_link", "show_group", "slow_mode", "transfer", "unban", "unblock", "unmute", "unpin",
  "unreact", "update", "withdraw",
]);

/**
 * Whether a method takes a request id.
 * @param {string} method
 */
export function takesId(method) {
  return COMMANDS.has(method);
}
