export default async function stopStack() {
  await globalThis.reefStack?.end();
}
