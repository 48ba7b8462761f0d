/** Thrown by a reaction whose time has not come: the event is delivered again, later each time, and nothing is logged. */
export class Later extends Error {
  override readonly name = 'Later';
}
