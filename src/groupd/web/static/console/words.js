// What the console says, in English and Chinese. A test holds the two against each other.

export const WORDS = {
  en: {
    title: "groupd console",
    skip: "Skip to the content",
    overview: "Overview",
    groups: "Groups",
    users: "Users",
    language: "中文",
    leave: "Sign out",
    tenant: "Tenant",
    connecting: "Connecting…",
    ready: "Connected",
    token: "Operator's token",
    enter: "Enter",
    noToken: "This page is for operators of the server.",
    howToToken: "Make a token on the server's machine, and paste it here:",
    notOperator: "This token does not make an operator.",
    connections: "Connections",
    online: "Users online",
    awake: "Groups and accounts in memory",
    postsPerS: "Messages per second",
    deliveriesPerS: "Deliveries per second",
    p50: "Half of the messages within",
    p99: "99 % of the messages within",
    backlog: "Waiting for slow readers",
    store: "Size of the store",
    rounds: "Write rounds per second",
    writes: "Writes in a round",
    uptime: "Running for",
    posts: "Messages since the start",
    deliveries: "Deliveries since the start",
    refusals: "Requests refused in the last minute",
    noRefusals: "None.",
    code: "Code",
    count: "Number",
    lastMinutes: "the last ten minutes",
    now: "now",
    highest: "highest",
    noData: "nothing yet",
    search: "Search",
    searchGroups: "Name, id, owner or ref",
    searchUsers: "Id or name",
    more: "More",
    searching: "Searching…",
    nothing: "Nothing was found.",
    group: "Group",
    name: "Name",
    id: "Id",
    owner: "Owner",
    members: "Members",
    state: "State",
    live: "live",
    dissolved: "dissolved",
    hidden: "hidden",
    direct: "direct chat",
    inMemory: "in memory",
    role: "Role",
    joined: "Joined",
    settings: "Settings",
    log: "Log",
    explain: "Explain",
    acts: "Acts",
    description: "Description",
    category: "Category",
    joinPolicy: "Who joins",
    condition: "Entry condition",
    plan: "Plan",
    created: "Founded",
    messages: "Messages",
    head: "Events in the log",
    requests: "Join requests",
    invitations: "Invitations",
    bans: "Bans",
    pins: "Pinned messages",
    announced: "Announcement",
    byChannel: "Joins by links",
    slowMode: "Slow mode",
    allMuted: "Only admins may speak",
    yes: "yes",
    no: "no",
    history: "New members read",
    timeZone: "Time zone",
    ref: "Ref",
    data: "Data of the app",
    older: "Older events",
    newer: "Newest events",
    seq: "Seq",
    time: "Time",
    user: "User",
    kind: "Kind",
    details: "Details",
    server: "server",
    method: "Method",
    ask: "Ask",
    allowed: "Allowed",
    notAllowed: "Not allowed",
    rule: "Rule",
    source: "Set by",
    value: "Value",
    verdict: "Verdict",
    holds: "holds",
    refuses: "refuses",
    ban: "Ban",
    banTitle: "Ban {user} from {group}",
    banHint: "They are out at once, and cannot come back.",
    dissolve: "Dissolve",
    dissolveTitle: "Dissolve {group}",
    dissolveHint: "The group is over for everybody, and there is no way back.",
    reason: "Reason",
    reasonHint: "Kept in the group's log with your name. Its admins can read it.",
    told: "What they are told",
    until: "For how long",
    forever: "for ever",
    hour: "one hour",
    day: "one day",
    month: "30 days",
    typeToConfirm: "Type {text} to confirm",
    cancel: "Cancel",
    done: "Done: it stands in the log as number {seq}.",
    sessions: "Sessions",
    owned: "Owns",
    joinedCount: "Is in",
    directs: "Direct chats",
    revoked: "Tokens refused from before",
    account: "Account",
    failed: "That did not work: {text}",
    error_not_found: "there is no such thing",
    error_direct: "a direct chat is nobody else's",
    error_rank: "the owner cannot be banned; the group can be dissolved",
    error_scope: "your token is for another tenant",
    error_state: "the group is dissolved",
    error_rate_limited: "too much in a short time; wait a little",
    error_unavailable: "the server cannot do it now; try again",
  },
  zh: {
    title: "groupd 控制台",
    skip: "跳到内容",
    overview: "概览",
    groups: "群",
    users: "用户",
    language: "English",
    leave: "退出",
    tenant: "租户",
    connecting: "正在连接…",
    ready: "已连接",
    token: "运维令牌",
    enter: "进入",
    noToken: "此页面供服务器的运维人员使用。",
    howToToken: "在服务器上生成一个令牌，粘贴到这里：",
    notOperator: "这个令牌没有运维权限。",
    connections: "连接数",
    online: "在线用户",
    awake: "内存中的群和账号",
    postsPerS: "每秒消息",
    deliveriesPerS: "每秒投递",
    p50: "半数消息用时不超过",
    p99: "99% 消息用时不超过",
    backlog: "等待慢读者的数据",
    store: "存储大小",
    rounds: "每秒写入轮次",
    writes: "每轮写入数",
    uptime: "已运行",
    posts: "启动以来的消息",
    deliveries: "启动以来的投递",
    refusals: "最近一分钟被拒绝的请求",
    noRefusals: "没有。",
    code: "代码",
    count: "次数",
    lastMinutes: "最近十分钟",
    now: "现在",
    highest: "最高",
    noData: "暂无",
    search: "搜索",
    searchGroups: "群名、编号、群主或 ref",
    searchUsers: "用户编号或名字",
    more: "更多",
    searching: "正在搜索…",
    nothing: "没有找到。",
    group: "群",
    name: "名称",
    id: "编号",
    owner: "群主",
    members: "成员",
    state: "状态",
    live: "正常",
    dissolved: "已解散",
    hidden: "不公开",
    direct: "单聊",
    inMemory: "在内存中",
    role: "角色",
    joined: "加入时间",
    settings: "设置",
    log: "日志",
    explain: "权限解释",
    acts: "操作",
    description: "简介",
    category: "分类",
    joinPolicy: "加入方式",
    condition: "入群条件",
    plan: "套餐",
    created: "创建时间",
    messages: "消息数",
    head: "日志条数",
    requests: "入群申请",
    invitations: "邀请",
    bans: "封禁",
    pins: "置顶消息",
    announced: "公告",
    byChannel: "通过链接加入",
    slowMode: "慢速模式",
    allMuted: "全员禁言",
    yes: "是",
    no: "否",
    history: "新成员可见历史",
    timeZone: "时区",
    ref: "Ref",
    data: "应用数据",
    older: "更早的记录",
    newer: "最新的记录",
    seq: "序号",
    time: "时间",
    user: "用户",
    kind: "类型",
    details: "内容",
    server: "服务器",
    method: "方法",
    ask: "查询",
    allowed: "允许",
    notAllowed: "不允许",
    rule: "规则",
    source: "来源",
    value: "取值",
    verdict: "结论",
    holds: "通过",
    refuses: "拒绝",
    ban: "封禁",
    banTitle: "将 {user} 从“{group}”封禁",
    banHint: "对方立即离开该群，并且不能再加入。",
    dissolve: "解散",
    dissolveTitle: "解散“{group}”",
    dissolveHint: "该群对所有人结束，无法恢复。",
    reason: "原因",
    reasonHint: "与你的名字一起记入群日志，群管理员可以看到。",
    told: "告知对方的话",
    until: "期限",
    forever: "永久",
    hour: "一小时",
    day: "一天",
    month: "30 天",
    typeToConfirm: "输入 {text} 以确认",
    cancel: "取消",
    done: "已完成：日志序号 {seq}。",
    sessions: "会话",
    owned: "拥有的群",
    joinedCount: "所在的群",
    directs: "单聊",
    revoked: "在此之前的令牌已作废",
    account: "账号",
    failed: "没有成功：{text}",
    error_not_found: "没有找到",
    error_direct: "单聊不对外开放",
    error_rank: "不能封禁群主；可以解散该群",
    error_scope: "你的令牌属于另一个租户",
    error_state: "该群已解散",
    error_rate_limited: "操作太频繁，请稍候",
    error_unavailable: "服务器暂时无法处理，请重试",
  },
};

const KEPT = "groupd-console-language";

function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null; // A browser that keeps nothing.
  }
}

function wanted() {
  const chosen = kept();
  if (chosen !== null && chosen in WORDS) return chosen;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** The language of now: "en" or "zh". */
export let language = wanted();

/** Speak the other language. */
export function switchLanguage() {
  language = language === "en" ? "zh" : "en";
  try {
    localStorage.setItem(KEPT, language);
  } catch {
    // Then for this page only.
  }
}

/** Say something; `{name}` in it is filled in. */
export function say(word, values = {}) {
  return WORDS[language][word].replace(/\{(\w+)\}/g, (hole, name) => values[name] ?? hole);
}

/** Say what went wrong, to a person. */
export function sayError(error) {
  const words = WORDS[language];
  const text = words[`error_${error.reason}`] ?? words[`error_${error.code}`] ?? error.message;
  return say("failed", { text });
}

const locale = () => (language === "zh" ? "zh-CN" : "en-GB");

export function sayNumber(value) {
  return new Intl.NumberFormat(locale(), { maximumFractionDigits: 1 }).format(value);
}

export function sayMs(value) {
  if (value === undefined || value === null) return "–";
  return value < 1_000 ? `${sayNumber(value)} ms` : `${sayNumber(value / 1_000)} s`;
}

export function sayBytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  let rest = value;
  for (; rest >= 1_000 && place < units.length - 1; place += 1) rest /= 1_000;
  return `${sayNumber(rest)} ${units[place]}`;
}

export function sayTime(timeMs) {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "short", timeStyle: "medium" }).format(timeMs);
}

export function sayClock(timeMs) {
  return new Intl.DateTimeFormat(locale(), { timeStyle: "medium" }).format(timeMs);
}

export function saySpan(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
