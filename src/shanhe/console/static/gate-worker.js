// Serves the offline gate page and its files from the cache when there is no network; everything else passes by.

const CACHE = "shanhe-gate-1";
const PAGE = /^\/venues\/[0-9a-f-]{36}\/offline$/;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  if (event.request.method !== "GET" || !(PAGE.test(pathname) || pathname.startsWith("/static/"))) return;
  event.respondWith(newest(event.request));
});

async function newest(request) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok && !answer.redirected) await cache.put(request, answer.clone());
    return answer;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: PAGE.test(new URL(request.url).pathname), ignoreVary: true });
    if (kept) return kept;
    throw error;
  }
}
