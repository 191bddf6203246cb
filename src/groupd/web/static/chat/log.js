/**
 * The part of one group's log that is on the screen: messages as they are now, and lines.
 *
 * Theory of operation. Entries are events in the order of their seqs, without a gap. What was
 * fetched and what is heard meet by seq alone, so that nothing stands twice, whichever comes first.
 * A message knows up to which seq its state speaks (`asOf`): an event that is not beyond it changes
 * it no more. Pure: no clock, no page, no wire.
 */

/** Entries that are kept; above it those at the far end go, and are fetched again. */
export const ENTRIES_MAX = 1_500;
/** Quoted messages from outside the screen. */
const QUOTES_MAX = 500;
/** Messages of one's own that were refused and not discarded. */
export const PENDING_MAX = 200;

/** Kinds that are messages. */
const MESSAGES = new Set(["posted", "announced"]);
/** Kinds that change a message, or nothing that is shown as a line. */
const SILENT = new Set([
  "edited", "recalled", "reacted", "unreacted", "acknowledged", "hidden", "unpinned", "link_made",
  "link_revoked", "declined", "withdrawn", "request_expired", "invited", "invite_declined",
  "invite_expired", "unbanned", "transfer_offered", "transfer_declined", "transfer_expired",
]);

/**
 * @typedef {Record<string, any>} Event
 *
 * @typedef {object} Message
 * @property {number} seq
 * @property {string} user
 * @property {number} timeMs
 * @property {string} text
 * @property {Record<string, any> | null} card
 * @property {string[] | "all"} mentions
 * @property {number} replyTo 0 for none
 * @property {boolean} isAnnouncement
 * @property {boolean} isEdited
 * @property {boolean} isRecalled
 * @property {Map<string, number>} reactions
 * @property {Set<string>} mine
 * @property {number} replies
 * @property {number} asOf
 *
 * @typedef {object} Entry
 * @property {number} seq
 * @property {Event} event
 * @property {Message | null} message null for a line
 * @property {number} version another one means that it looks otherwise
 *
 * @typedef {object} Pending a message of one's own that is not in the log yet
 * @property {string} id
 * @property {Record<string, any>} params
 * @property {any} error null while it is under way
 * @property {number} timeMs
 */

export class Log {
  /** @type {Entry[]} */
  entries = [];
  /** @type {Map<number, Entry>} */
  #bySeq = new Map();
  /** @type {Map<number, Message>} messages that are replied to, and not among the entries */
  quotes = new Map();
  /** @type {Pending[]} */
  pending = [];
  /** Pages that are on their way. */
  #coming = 0;
  /** What is heard meanwhile: a page that was made before it does not know of it. @type {Event[]} */
  #early = [];
  /** The last seq that was taken. */
  head = 0;
  /** Whether there is more before the first entry. */
  hasOlder = false;
  /** Whether what is said now is not shown, since too much is in between. */
  isDetached = false;
  isLoaded = false;

  /**
   * @param {string} group
   * @param {string} me
   */
  constructor(group, me) {
    this.group = group;
    this.me = me;
  }

  /** The seq of the first entry's page: what goes into `history {before}`. */
  get first() {
    return this.#first;
  }

  #first = 0;

  /** @param {number} seq */
  at(seq) {
    return this.#bySeq.get(seq);
  }

  /** @param {number} seq @returns {Message | undefined} */
  messageAt(seq) {
    return this.#bySeq.get(seq)?.message ?? this.quotes.get(seq);
  }

  /** Says that a page is being fetched, until `end`: what is heard meanwhile is kept for it. */
  begin() {
    this.#coming += 1;
  }

  /** Says that a page has been taken, or does not come. */
  end() {
    this.#coming -= 1;
    if (this.#coming === 0) this.#early = [];
  }

  /**
   * Takes the newest page, in place of everything.
   * @param {{events: Event[], head: number, more: boolean}} page
   * @param {Shown} shown
   */
  reset(page, shown) {
    this.entries = [];
    this.#bySeq.clear();
    this.isDetached = false;
    this.isLoaded = true;
    this.head = page.head;
    this.hasOlder = page.more;
    this.#first = page.events[0]?.seq ?? page.head + 1;
    for (const event of page.events) this.#add(event, shown);
    for (const event of this.#early) this.#takeNow(event);
  }

  /**
   * Takes a page from before the first entry.
   * @param {{events: Event[], more: boolean}} page
   * @param {Shown} shown
   * @param {number} [before] what was the first when it was asked for
   */
  prepend(page, shown, before = this.#first) {
    // Where the log begins elsewhere by now, there would be a gap.
    if (before !== this.#first) return;
    const kept = this.entries;
    this.entries = [];
    for (const event of page.events) if (event.seq < this.#first) this.#add(event, shown);
    this.entries.push(...kept);
    this.#first = Math.min(this.#first, page.events[0]?.seq ?? this.#first);
    this.hasOlder = page.more;
    if (this.entries.length > ENTRIES_MAX) {
      for (const entry of this.entries.splice(ENTRIES_MAX)) this.#bySeq.delete(entry.seq);
      this.isDetached = true;
    }
    // What is there already knows of it.
    for (const event of this.#early) this.#apply(event);
  }

  /**
   * Takes what is heard. What is already here changes nothing.
   * @param {Event} event
   */
  take(event) {
    if (this.#coming > 0) this.#early.push(event);
    this.#takeNow(event);
  }

  /** @param {Event} event */
  #takeNow(event) {
    if (!this.isLoaded || event.seq <= this.head) return;
    this.head = event.seq;
    this.#apply(event);
    if (!this.isDetached) this.#add(event, {});
    if (event.id) this.pending = this.pending.filter(({ id }) => id !== event.id);
  }

  /** Drops the oldest entries, if there are too many; for when nobody is looking at them. */
  trim() {
    const over = this.entries.length - ENTRIES_MAX;
    if (over <= 0) return;
    for (const entry of this.entries.splice(0, over)) this.#bySeq.delete(entry.seq);
    this.#first = this.entries[0].seq;
    this.hasOlder = true;
  }

  /**
   * Remembers messages that are replied to.
   * @param {Event[]} messages `shown_message`s
   */
  quote(messages) {
    for (const shown of messages) this.quotes.set(shown.seq, messageOf(shown.event, shown, shown.seq));
    for (const seq of this.quotes.keys()) {
      if (this.quotes.size <= QUOTES_MAX) break;
      this.quotes.delete(seq);
    }
  }

  /**
   * The seqs that entries reply to, and that nobody has fetched.
   * @returns {number[]}
   */
  unquoted() {
    const seqs = new Set();
    for (const { message } of this.entries) {
      if (message?.replyTo && !this.messageAt(message.replyTo)) seqs.add(message.replyTo);
    }
    return [...seqs];
  }

  /** @param {Pending} pending */
  addPending(pending) {
    this.pending.push(pending);
    if (this.pending.length > PENDING_MAX) this.pending.shift();
  }

  /** @param {string} id */
  dropPending(id) {
    this.pending = this.pending.filter((each) => each.id !== id);
  }

  /**
   * @param {Event} event
   * @param {Shown} shown
   */
  #add(event, shown) {
    if (SILENT.has(event.kind)) return;
    const isMessage = MESSAGES.has(event.kind) || event.kind === "erased";
    const known = shown[event.seq];
    const message = isMessage ? messageOf(event, known, shown.head ?? event.seq) : null;
    /** @type {Entry} */
    const entry = { seq: event.seq, event, message, version: 1 };
    // An erased edit is no message.
    if (event.kind === "erased" && shown.head !== undefined && known === undefined) return;
    this.entries.push(entry);
    this.#bySeq.set(event.seq, entry);
  }

  /** @param {number[]} seqs */
  #remove(seqs) {
    const gone = new Set(seqs.filter((seq) => this.#bySeq.delete(seq)));
    if (gone.size > 0) this.entries = this.entries.filter(({ seq }) => !gone.has(seq));
  }

  /** @param {Event} event */
  #apply(event) {
    const seq = event.kind === "posted" ? event.reply_to : event.message;
    if (!seq) return;
    // Its edits are erased, too, and looked like messages if they came after that.
    if (event.kind === "recalled") this.#remove(event.edits ?? []);
    const entry = this.#bySeq.get(seq);
    for (const message of [entry?.message, this.quotes.get(seq)]) {
      if (!message || event.seq <= message.asOf) continue;
      change(message, event, this.me);
      message.asOf = event.seq;
    }
    if (entry) entry.version += 1;
    // What replies to it shows a piece of it.
    if (event.kind !== "recalled" && event.kind !== "edited") return;
    for (const other of this.entries) if (other.message?.replyTo === seq) other.version += 1;
  }
}

/** @typedef {Record<number, any> & {head?: number}} Shown seq -> `shown_message`, as of `head` */

/**
 * Makes what `messages` answered something to look up in.
 * @param {{messages: Event[], head: number}} answer
 * @returns {Shown}
 */
export function shownOf({ messages, head }) {
  /** @type {Shown} */
  const shown = { head };
  for (const each of messages) shown[each.seq] = each;
  return shown;
}

/**
 * The seqs of a page whose state is to be asked for.
 * @param {Event[]} events
 */
export function messageSeqs(events) {
  return events.filter(({ kind }) => MESSAGES.has(kind) || kind === "erased").map(({ seq }) => seq);
}

/**
 * Makes a message of the event by which it was said, and of what is known of it now.
 * @param {Event} event
 * @param {any} shown its `shown_message`, if there is one
 * @param {number} asOf
 * @returns {Message}
 */
export function messageOf(event, shown, asOf) {
  const said = shown?.event ?? event;
  const form = shown?.edited ?? said;
  const isRecalled = said.kind === "erased" || shown?.recalled !== undefined;
  return {
    seq: event.seq,
    user: said.user ?? "",
    timeMs: event.time_ms,
    text: isRecalled ? "" : form.text ?? "",
    card: isRecalled ? null : form.card ?? null,
    mentions: form.mentions ?? [],
    replyTo: said.reply_to ?? 0,
    isAnnouncement: said.kind === "announced",
    isEdited: shown?.edited !== undefined && !isRecalled,
    isRecalled,
    reactions: new Map(Object.entries(shown?.reactions ?? {})),
    mine: new Set(shown?.mine ?? []),
    replies: shown?.replies ?? 0,
    asOf,
  };
}

/**
 * Changes a message as an event says.
 * @param {Message} message
 * @param {Event} event
 * @param {string} me
 */
function change(message, event, me) {
  const { kind, reaction } = event;
  if (kind === "edited") {
    message.text = event.text ?? "";
    message.card = event.card ?? null;
    message.mentions = event.mentions ?? [];
    message.isEdited = true;
  } else if (kind === "recalled") {
    Object.assign(message, { text: "", card: null, isRecalled: true, isEdited: false });
    message.reactions.clear();
    message.mine.clear();
  } else if (kind === "reacted") {
    message.reactions.set(reaction, (message.reactions.get(reaction) ?? 0) + 1);
    if (event.user === me) message.mine.add(reaction);
  } else if (kind === "unreacted") {
    const left = (message.reactions.get(reaction) ?? 1) - 1;
    if (left > 0) message.reactions.set(reaction, left);
    else message.reactions.delete(reaction);
    if (event.user === me) message.mine.delete(reaction);
  } else if (kind === "posted") {
    message.replies += 1;
  }
}
