// What this tab sent and was told, kept over a reload in IndexedDB: encrypted with a key that only this tab's session has,
// so that what is left behind when the tab closes can be read by nobody, and swept away at the next visit. Where the
// browser has no encryption (plain http from elsewhere) or no room, nothing is kept, and that is no error.

const NAME = "brainseg", STORE = "kept", SESSION = "brainseg-session";
const OLDEST_MS = 12 * 3600 * 1000;

const asPromise = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const database = (async () => {
  if (!globalThis.crypto?.subtle || !globalThis.indexedDB) return null;
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE).createIndex("when", "when");
  return asPromise(request).catch(() => null);
})();

function session(make) {
  const found = sessionStorage.getItem(SESSION);
  if (found || !make) return found && JSON.parse(found);
  const secret = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))));
  const made = { id: crypto.randomUUID(), secret };
  sessionStorage.setItem(SESSION, JSON.stringify(made));
  return made;
}

const keyOf = ({ secret }) => crypto.subtle.importKey("raw", Uint8Array.from(atob(secret), (one) => one.charCodeAt(0)), "AES-GCM", false, ["encrypt", "decrypt"]);

// Runs `work(store, session)` where there is one; what fails is as if nothing were kept.
async function within(mode, make, work) {
  const known = await database, own = known && session(make);
  if (!own) return null;
  try {
    return await work(() => known.transaction(STORE, mode).objectStore(STORE), own);
  } catch (error) {
    if (error instanceof DOMException) return null; // no room, or another session's record
    throw error;
  }
}

// `content`: a Blob. -> whether it is kept.
export const put = async (name, content) => Boolean(await within("readwrite", true, async (store, own) => {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const data = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await keyOf(own), await content.arrayBuffer());
  return asPromise(store().put({ iv, data, when: Date.now() }, [own.id, name]));
}));

async function opened({ iv, data }, own) {
  return new Blob([await crypto.subtle.decrypt({ name: "AES-GCM", iv }, await keyOf(own), data)]);
}

// A Blob, or null.
export const get = (name) => within("readonly", false, async (store, own) => {
  const found = await asPromise(store().get([own.id, name]));
  return found ? opened(found, own) : null;
});

// Names that begin with `start`.
export const names = async (start) => (await within("readonly", false, async (store, own) => {
  const range = IDBKeyRange.bound([own.id, start], [own.id, `${start}\uffff`]);
  return (await asPromise(store().getAllKeys(range))).map(([, name]) => name);
})) ?? [];

export const remove = (start) => within("readwrite", false, (store, own) => asPromise(store().delete(IDBKeyRange.bound([own.id, start], [own.id, `${start}\uffff`]))));

// Everything of this tab, and its key.
export async function forget() {
  await remove("");
  sessionStorage.removeItem(SESSION);
}

// What other tabs left behind half a day ago: nobody has its key any more, or nobody will want it.
export async function sweep() {
  const own = (await database) && session(false);
  await within("readwrite", true, async (store) => {
    const place = store();
    const old = await asPromise(place.index("when").getAllKeys(IDBKeyRange.upperBound(Date.now() - OLDEST_MS)));
    for (const key of old) if (key[0] !== own?.id) place.delete(key);
  });
}
