/** The words of the page, in English and Chinese. */

/** English, Chinese, and the English for an `n` of one. @type {Readonly<Record<string, readonly string[]>>} */
const WORDS = Object.freeze({
  // Who one is, and the connection
  connecting: ["Connecting …", "连接中…"],
  waiting: ["No connection. Trying again …", "连接已断开，正在重试…"],
  ended: ["You are signed out.", "你已退出登录。"],
  online: ["Connected", "已连接"],
  welcome_title: ["Come in with your app's link", "请从你的应用进入"],
  welcome_text: [
    "This chat belongs to an app. Open it there, and you are known here by your name; there is nothing to sign up for.",
    "这个聊天属于某个应用。请从那里打开，就会以你的名字进入，无需注册。",
  ],
  welcome_try: [
    "Trying it out on your own machine? Make a token there, and open this address with it:",
    "在自己的电脑上试用？先生成一个令牌，再用它打开此地址：",
  ],
  sign_in: ["Sign in", "登录"],
  sign_in_title: ["Who are you?", "请先登录"],
  sign_in_text: ["Sign in, and you are back here at once.", "登录后会立即回到这里。"],
  sign_in_invited: [
    "You are invited to a group. Sign in, and you are back here at once.",
    "有人邀请你加入群聊。登录后会立即回到这里。",
  ],
  token_refused: [
    "Your sign-in is no longer valid. Come in again.",
    "登录已失效，请重新进入。",
  ],
  ended_other: ["The server refuses this page: {words}", "服务器拒绝了此页面：{words}"],
  try_again: ["Try again", "重试"],
  // The list
  chats: ["Chats", "聊天"],
  find: ["Find chats", "搜索聊天"],
  search: ["Find and join groups", "查找并加入群"],
  create: ["New group", "新建群"],
  no_chats: ["No chats yet. Find a group, or make one.", "还没有聊天。查找一个群，或新建一个。"],
  no_match: ["Nothing of that name here.", "没有找到。"],
  unread: ["{n} unread", "{n} 条未读"],
  mentioned: ["you are mentioned", "有人提到你"],
  choose: ["Choose a chat", "选择一个聊天"],
  choose_text: ["What is said there appears here at once.", "消息会即时出现在这里。"],
  draft: ["Draft: {text}", "草稿：{text}"],
  // A chat
  back: ["Back to the list", "返回列表"],
  members: ["Members", "成员"],
  member_count: ["{n} members", "{n} 位成员", "{n} member"],
  typing: ["{name} is typing …", "{name} 正在输入…"],
  typing_many: ["Several people are typing …", "多人正在输入…"],
  pins: ["Pinned messages", "置顶消息"],
  no_pins: ["Nothing is pinned.", "没有置顶消息。"],
  share: ["Share", "分享"],
  details: ["About this chat", "聊天信息"],
  requests: ["Join requests", "入群申请"],
  requests_n: ["{n} ask to join", "{n} 人申请加入", "{n} asks to join"],
  no_requests: ["Nobody is waiting.", "没有待处理的申请。"],
  approve: ["Let in", "同意"],
  decline: ["Decline", "拒绝"],
  announcement: ["Announcement", "群公告"],
  got_it: ["Got it", "知道了"],
  announce: ["Announce", "发布公告"],
  messages: ["Messages", "消息"],
  loading: ["Loading …", "加载中…"],
  beginning: ["The beginning", "已到开头"],
  latest: ["To the latest", "回到最新"],
  new_below: ["New messages", "新消息"],
  // A message
  say: ["Write a message", "输入消息"],
  send: ["Send", "发送"],
  too_long: ["{n} characters too many", "超出 {n} 个字", "{n} character too many"],
  reply: ["Reply", "回复"],
  replies: ["{n} replies", "{n} 条回复", "{n} reply"],
  like: ["Like", "点赞"],
  likes: ["{reaction}: {n}", "{reaction}：{n}"],
  more: ["More", "更多"],
  edit: ["Edit", "编辑"],
  recall: ["Recall", "撤回"],
  pin: ["Pin", "置顶"],
  unpin: ["Unpin", "取消置顶"],
  copy: ["Copy", "复制"],
  copied: ["Copied", "已复制"],
  not_copied: ["It could not be copied. Select it, and copy it yourself.", "无法复制，请选中后自行复制。"],
  edited: ["edited", "已编辑"],
  recalled: ["This message was recalled", "消息已撤回"],
  replying: ["Reply to {name}", "回复 {name}"],
  editing: ["Edit your message", "编辑消息"],
  cancel: ["Cancel", "取消"],
  close: ["Close", "关闭"],
  sending: ["sending …", "发送中…"],
  failed: ["Not sent: {words}", "未发送：{words}"],
  discard: ["Discard", "丢弃"],
  everyone: ["all", "所有人"],
  all_muted: ["Only admins may speak now.", "全员禁言中，仅管理员可发言。"],
  you_are_muted: ["You are muted until {time}.", "你被禁言至 {time}。"],
  said: ["{name}: {text}", "{name}：{text}"],
  // Cards
  video: ["Video", "视频"],
  live: ["Live", "直播"],
  live_over: ["Live, over", "直播已结束"],
  goods: ["Goods", "商品"],
  link: ["Link", "链接"],
  image: ["Picture", "图片"],
  file: ["File", "文件"],
  place: ["Place", "位置"],
  card: ["Card", "卡片"],
  starts: ["Begins {time}", "{time} 开始"],
  ended_at: ["Ended {time}", "{time} 结束"],
  // Dialogs
  by_name: ["Name, or a share link", "群名或分享链接"],
  find_now: ["Find", "查找"],
  nothing_found: ["No group was found.", "没有找到群。"],
  join: ["Join", "加入"],
  ask_join: ["Ask to join", "申请加入"],
  open: ["Open", "打开"],
  asked: ["You asked to join. An admin will decide.", "已申请，等待管理员同意。"],
  joined_now: ["You are in.", "已加入。"],
  declined: ["You were not let into {name}.", "「{name}」没有同意你的申请。"],
  invited: ["You are invited to {name}.", "你被邀请加入「{name}」。"],
  accept: ["Accept", "接受"],
  shared_by: ["Shared by {name}", "由 {name} 分享"],
  cannot_join: ["You cannot join this group.", "你无法加入此群。"],
  group_name: ["Name of the group", "群名称"],
  description: ["What it is about", "群简介"],
  who_may_join: ["Who may join", "加入方式"],
  policy_open: ["Everybody", "所有人"],
  policy_approval: ["Who an admin lets in", "需管理员同意"],
  policy_invite_only: ["Who is invited", "仅限邀请"],
  first_members: ["Members (user ids, with spaces between)", "成员（用户 ID，以空格分隔）"],
  make: ["Make", "创建"],
  where_shared: ["Where you share it", "分享到"],
  wechat: ["WeChat", "微信"],
  qq: ["QQ", "QQ"],
  weibo: ["Weibo", "微博"],
  elsewhere: ["Elsewhere", "其他"],
  how_long: ["How long it works", "有效期"],
  for_ever: ["For ever", "永久"],
  one_day: ["One day", "一天"],
  one_week: ["One week", "一周"],
  need_approval: ["An admin lets people in", "需要管理员同意"],
  make_link: ["Make a link", "生成链接"],
  qr: ["QR code of the link", "链接的二维码"],
  share_to: ["Share …", "分享…"],
  quiet: ["Do not disturb", "免打扰"],
  keep_on_top: ["Keep on top", "置顶聊天"],
  leave: ["Leave the group", "退出群"],
  leave_sure: ["Leave {name}?", "退出「{name}」？"],
  write_to: ["Write to {name}", "私聊 {name}"],
  owner: ["owner", "群主"],
  admin: ["admin", "管理员"],
  member: ["member", "成员"],
  you: ["you", "你"],
  // Lines of the log
  l_created: ["{who} made the group", "{who} 创建了群"],
  l_joined: ["{whom} joined", "{whom} 加入了群"],
  l_joined_link: ["{whom} joined by a link", "{whom} 通过分享链接加入"],
  l_added: ["{who} added {whom}", "{who} 邀请 {whom} 加入了群"],
  l_approved: ["{who} let {whom} in", "{who} 同意 {whom} 加入"],
  l_left: ["{who} left", "{who} 退出了群"],
  l_kicked: ["{who} took {whom} out", "{who} 将 {whom} 移出了群"],
  l_banned: ["{who} banned {whom}", "{who} 封禁了 {whom}"],
  l_updated: ["{who} changed the settings", "{who} 修改了群设置"],
  l_renamed: ["{who} renamed the group to {name}", "{who} 将群名改为「{name}」"],
  l_pinned: ["{who} pinned a message", "{who} 置顶了一条消息"],
  l_role_admin: ["{who} made {whom} an admin", "{who} 将 {whom} 设为管理员"],
  l_role_member: ["{who} made {whom} a plain member", "{who} 取消了 {whom} 的管理员"],
  l_transferred: ["{who} owns the group now", "{who} 成为群主"],
  l_nicknamed: ["{whom} is called {name} here", "{whom} 的群昵称改为「{name}」"],
  l_muted: ["{who} muted {whom}", "{who} 将 {whom} 禁言"],
  l_unmuted: ["{who} unmuted {whom}", "{who} 解除了 {whom} 的禁言"],
  l_all_muted: ["{who} lets only admins speak", "{who} 开启了全员禁言"],
  l_all_unmuted: ["{who} lets everybody speak", "{who} 关闭了全员禁言"],
  l_slow: ["{who} set the slow mode to {s} s", "{who} 将慢速模式设为 {s} 秒"],
  l_slow_off: ["{who} ended the slow mode", "{who} 关闭了慢速模式"],
  l_requested: ["{who} asks to join", "{who} 申请加入"],
  l_dissolved: ["The group is dissolved", "群已解散"],
  over_dissolved: ["{name} is dissolved.", "「{name}」已解散。"],
  over_kicked: ["You were taken out of {name}.", "你已被移出「{name}」。"],
  over_banned: ["You were banned from {name}.", "你已被「{name}」封禁。"],
  the_server: ["The server", "系统"],
  // Errors, by reason or code
  e_forbidden: ["You may not do this.", "你没有权限。"],
  e_role: ["Only an admin may do this.", "只有管理员可以这样做。"],
  e_not_member: ["You are not a member.", "你不是群成员。"],
  e_all_muted: ["Only admins may speak now.", "全员禁言中。"],
  e_blocked: ["One of you has blocked the other.", "你们之间有人拉黑了对方。"],
  e_banned: ["You are banned here.", "你已被封禁。"],
  e_condition: ["You do not meet the group's condition: {clause}", "不满足入群条件：{clause}"],
  e_invite_only: ["This group is for those who are invited.", "此群仅限邀请加入。"],
  e_too_late: ["It is too late for that.", "已超过时限。"],
  e_owner_leaves: ["The owner cannot leave.", "群主不能退群。"],
  e_invites_off: ["Only admins may invite here.", "只有管理员可以邀请。"],
  e_not_found: ["There is no such thing.", "没有找到。"],
  e_conflict: ["It does not fit any more.", "状态已改变。"],
  e_decided: ["Somebody has decided this before.", "已被其他管理员处理。"],
  e_recalled: ["The message was recalled.", "消息已撤回。"],
  e_link_expired: ["This link is over.", "链接已过期。"],
  e_link_revoked: ["This link was revoked.", "链接已失效。"],
  e_link_used_up: ["This link is used up.", "链接已达使用上限。"],
  e_quota_exceeded: ["You have as many as your plan allows.", "已达到数量上限。"],
  e_group_full: ["The group is full.", "群已满。"],
  e_muted: ["You are muted.", "你被禁言。"],
  e_rate_limited: ["Too fast. Try again in {s} s.", "太快了，请 {s} 秒后再试。"],
  e_slow_mode: ["Slow mode: again in {s} s.", "慢速模式：{s} 秒后可再发。"],
  e_cooldown: ["You were declined not long ago.", "不久前你的申请被拒绝。"],
  e_stale_id: ["Nobody can tell whether it was said: look above.", "无法确认是否已发送，请查看上文。"],
  e_too_large: ["It is too large.", "内容过大。"],
  e_bad_request: ["The server does not take this: {field}", "内容不符合要求：{field}"],
  e_unavailable: ["The server cannot take it now.", "服务器暂不可用。"],
  e_unauthenticated: ["Your token is no longer valid.", "令牌已失效。"],
  e_internal: ["Something is wrong at the server.", "服务器出错。"],
  e_lost: ["The connection was lost.", "连接已断开。"],
});

/** @typedef {(key: string, values?: Record<string, any>) => string} Say */

/**
 * Gives the language of somebody: `zh` or `en`.
 * @param {readonly string[]} languages as a browser has them, the best first
 */
export function languageOf(languages) {
  for (const language of languages) {
    if (/^zh\b/i.test(language)) return "zh";
    if (/^en\b/i.test(language)) return "en";
  }
  return "en";
}

/**
 * Gives what says a word in a language, with values in the place of `{names}`.
 * @param {string} language
 * @returns {Say}
 */
export function speaker(language) {
  const column = language === "zh" ? 1 : 0;
  return (key, values = {}) => {
    const forms = WORDS[key] ?? [key, key];
    const words = column === 0 && values.n === 1 ? forms[2] ?? forms[0] : forms[column];
    return words.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
  };
}

/**
 * Says what is wrong.
 * @param {Say} say
 * @param {any} error
 */
export function errorWords(say, error) {
  const details = error?.details;
  if (!details) return error?.name === "Disconnected" ? say("e_lost") : String(error?.message ?? error);
  const values = { ...details, s: Math.ceil((details.retry_after_ms ?? 0) / 1_000) };
  for (const key of [error.reason, error.code]) {
    if (key && WORDS[`e_${key}`]) return say(`e_${key}`, values);
  }
  return error.message;
}

/** For the test that compares what is used with what there is. */
export const KEYS = Object.keys(WORDS);
