// Remembers what a function answered lately, for questions that come again and again and cost much (user agents, addresses).
// Bounded: when it is full, what has not been asked about since the last time goes.

const entriesMax = 2_000;

export class RecentAnswers<Question, Answer> {
  readonly #ask: (question: Question) => Answer;
  #recent = new Map<Question, Answer>();
  #older = new Map<Question, Answer>();

  constructor(ask: (question: Question) => Answer) {
    this.#ask = ask;
  }

  of(question: Question): Answer {
    const known = this.#recent.get(question);
    if (known !== undefined || this.#recent.has(question)) return known as Answer;
    const isOlder = this.#older.has(question);
    const answer = isOlder ? (this.#older.get(question) as Answer) : this.#ask(question);
    if (this.#recent.size >= entriesMax) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(question, answer);
    return answer;
  }
}
