// Pages in a real browser: with and without scripts, by keyboard, in both colour schemes, against the rules of
// accessibility. What the form announces is fetched by curl and measured.
//
//     node tests/browser/run.mjs SERVER_BINARY DATA_FOLDER [FOLDER_FOR_SCREENSHOTS]
import { spawn, execFileSync } from "node:child_process";
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createRequire } from "node:module";
import assert from "node:assert/strict";

const require = createRequire(resolve(".work/npm/package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [binary, data, shots] = process.argv.slice(2);
if (!binary || !data) throw new Error("usage: run.mjs SERVER_BINARY DATA_FOLDER [FOLDER_FOR_SCREENSHOTS]");

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const LARGEST = 150_000;
const SLOWEST = 300;

const work = mkdtempSync(join(tmpdir(), "thalweg-browser-"));
const free = () => new Promise((done) => {
  const probe = createServer().listen(0, "127.0.0.1", () => { const { port } = probe.address(); probe.close(() => done(port)); });
});

// A folder of the real data beside one with more files than a page shows.
function served() {
  const folder = join(work, "data");
  mkdirSync(join(folder, "many"), { recursive: true });
  for (const name of readdirSync(data)) execFileSync("cp", ["-rL", join(resolve(data), name), folder]);
  for (let i = 0; i < 1200; i += 1) writeFileSync(join(folder, "many", `day_${String(i).padStart(4, "0")}.nc`), "x".repeat(i));
  return folder;
}

async function start() {
  const port = await free();
  const server = spawn(binary, ["serve", "--listen", `127.0.0.1:${port}`, served()], { stdio: "ignore" });
  const origin = `http://127.0.0.1:${port}`;
  for (let i = 0; i < 100; i += 1) {
    if (await fetch(`${origin}/-/ready`).then((r) => r.ok, () => false)) return { server, origin };
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error("the server does not answer");
}

const { server, origin } = await start();
const profile = mkdtempSync(join(work, "profile-"));
let count = 0;
const failed = [];

// A page whose console stays silent; what the browser complains of fails the test.
async function check(title, options, body) {
  const context = await chromium.launchPersistentContext(join(profile, String(count)), {
    executablePath: "/usr/bin/chromium", args: FLAGS, headless: true, viewport: { width: 1100, height: 900 }, ...options,
  });
  const complaints = [];
  const page = await context.newPage();
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) complaints.push(message.text()); });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.setDefaultTimeout(15_000);
  count += 1;
  try {
    await body(page);
    assert.deepEqual(complaints, []);
    console.log(`ok ${title}`);
  } catch (error) {
    failed.push(title);
    console.log(`FAILED ${title}\n${error.stack}`);
  } finally {
    await context.close();
  }
}

const dataset = `${origin}/opendap/A1B_north_america.nc.html`;
const length = (url) => {
  const file = join(work, "answer");
  execFileSync("curl", ["-sS", "-f", "-o", file, url]);
  return readFileSync(file).length;
};
// Both addresses that the page shows have the size that it shows.
async function sizesAreTrue(page) {
  for (const id of ["dap4", "dap2"]) {
    const url = await page.locator(`#${id} a`).getAttribute("href");
    const [, bytes] = /^(\d+) bytes/.exec(await page.locator(`#${id} .size`).textContent());
    assert.equal(length(url), Number(bytes), url);
  }
}
async function noViolation(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  const told = found.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary}`).join("; ")}`);
  assert.deepEqual(told, []);
}

try {
  for (const javaScriptEnabled of [true, false]) {
    const how = javaScriptEnabled ? "with scripts" : "without scripts";
    await check(`a folder is searched, sorted and paged, ${how}`, { javaScriptEnabled }, async (page) => {
      await page.goto(`${origin}/catalog/many/`);
      assert.equal(await page.locator("tbody tr").count(), 1000);
      await page.getByRole("link", { name: "Next page" }).click();
      assert.equal(await page.locator("tbody tr").count(), 200);
      await page.getByLabel("Search in this folder").fill("day_11 9");
      await page.getByRole("button", { name: "Search" }).click();
      assert.match(await page.getByRole("status").textContent(), /19 entries found/);
      await page.getByRole("link", { name: "Size", exact: true }).click();
      await page.getByRole("link", { name: "Size", exact: true }).click();
      assert.equal(await page.locator("th[aria-sort]").getAttribute("aria-sort"), "descending");
      assert.equal(await page.locator("tbody tr a").first().textContent(), "day_1199.nc");
    });
    await check(`the form gives addresses of the size it says, ${how}`, { javaScriptEnabled }, async (page) => {
      await page.goto(dataset);
      await sizesAreTrue(page);
      await page.getByRole("checkbox", { name: "/air_temperature" }).check();
      await page.getByLabel("latitude, from value").fill("30");
      await page.getByLabel("latitude, to value").fill("40");
      await page.getByLabel("time, from value").fill("1950-01-01");
      await page.getByLabel("time, step").fill("2");
      if (javaScriptEnabled) {
        // Live, without the button.
        await page.waitForFunction(() => document.querySelector("#dap2 code").textContent.includes("%5B90:2:238%5D"));
        assert.equal(page.url(), dataset);
      } else {
        await page.getByRole("button", { name: "Show address and size" }).click();
      }
      assert.match(await page.locator("#dap2 code").textContent(), /\.dods\?air_temperature%5B90:2:238%5D%5B12:1:20%5D%5B0:1:48%5D$/);
      assert.match(await page.locator("#snippets").textContent(), /"time": slice\(90, 239, 2\)/);
      await sizesAreTrue(page);
      await page.getByLabel("latitude, from value").fill("north");
      if (javaScriptEnabled) await page.waitForSelector("#problems .problem");
      else await page.getByRole("button", { name: "Show address and size" }).click();
      assert.match(await page.locator("#problems").textContent(), /latitude: "north" is not a number/);
      assert.equal(await page.getByLabel("latitude, from value").getAttribute("aria-invalid"), "true");
    });
  }

  await check("an index takes the place of a value, and the other way", {}, async (page) => {
    await page.goto(dataset);
    await page.getByLabel("latitude, from value").fill("30");
    await page.getByLabel("latitude, first index").fill("3");
    assert.equal(await page.getByLabel("latitude, from value").inputValue(), "");
    await page.waitForFunction(() => document.querySelector("output[data-axis='/latitude']").textContent.startsWith("3 to 36"));
  });

  await check("the keyboard is enough", {}, async (page) => {
    await page.goto(`${origin}/`);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
    assert.ok(await page.evaluate(() => document.activeElement.getBoundingClientRect().top >= 0), "it is seen when it has the focus");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.id), "q");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, "none");
    await page.keyboard.type("a1b");
    await page.keyboard.press("Enter");
    await page.waitForURL(/q=a1b/);
    const focused = () => page.evaluate(() => document.activeElement.textContent);
    for (let i = 0; i < 30 && (await focused()) !== "A1B_north_america.nc"; i += 1) await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForURL(/A1B_north_america\.nc\.html/);
    const id = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    for (let i = 0; i < 60 && (await id()) !== "/air_temperature"; i += 1) await page.keyboard.press("Tab");
    await page.keyboard.press("Space");
    await page.waitForFunction(() => document.querySelector("#dap2 code").textContent.endsWith("?air_temperature"));
    const name = () => page.evaluate(() => document.activeElement.textContent);
    for (let i = 0; i < 60 && (await name()) !== "Show address and size"; i += 1) await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForURL(/v=%2Fair_temperature/);
    await sizesAreTrue(page);
  });

  for (const colorScheme of ["light", "dark"]) {
    for (const [name, path] of [
      ["top", "/"],
      ["long folder", "/catalog/many/?q=day_11"],
      ["dataset", "/opendap/A1B_north_america.nc.html?v=/air_temperature&step./time=12"],
      ["problem", "/opendap/NEMO/nemo_1m_20150101-20150201_grid-T.nc.html?first./y=9999"],
    ]) {
      await check(`${name}, ${colorScheme}: no violation of WCAG 2.2 AA`, { colorScheme }, async (page) => {
        await page.goto(origin + path);
        await noViolation(page);
        if (shots) {
          mkdirSync(shots, { recursive: true });
          await page.screenshot({ path: join(shots, `${name.replaceAll(" ", "-")}-${colorScheme}.png`), fullPage: true });
        }
      });
    }
  }
  await check("the rules find a fault that is put in", {}, async (page) => {
    await page.goto(dataset);
    await page.evaluate(() => document.querySelector("main").append(document.createElement("input"), document.createElement("button")));
    await assert.rejects(noViolation(page), /label[^]*button-name|button-name[^]*label/);
  });
  await check("a narrow screen scrolls in one direction", { viewport: { width: 320, height: 640 } }, async (page) => {
    for (const url of [`${origin}/`, dataset]) {
      await page.goto(url);
      const [inside, outside] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(inside <= outside, `${url}: ${inside} of ${outside}`);
      if (shots) await page.screenshot({ path: join(shots, `narrow-${url === dataset ? "dataset" : "top"}.png`), fullPage: true });
    }
  });
  await check("structured data are seen and not executed", {}, async (page) => {
    await page.goto(dataset);
    const told = JSON.parse(await page.locator("script[type='application/ld+json']").textContent());
    assert.equal(told["@type"], "Dataset");
    assert.match(told.temporalCoverage, /^1860-/);
  });

  // Small and fast, as a first visit finds them.
  for (const path of ["/", "/opendap/A1B_north_america.nc.html", "/opendap/NEMO/nemo_1m_20150101-20150201_grid-T.nc.html"]) {
    const begin = performance.now();
    const body = await fetch(origin + path).then((r) => r.text());
    const ms = performance.now() - begin;
    console.log(`${path}: ${body.length} bytes in ${ms.toFixed(0)} ms`);
    if (body.length > LARGEST || ms > SLOWEST) failed.push(`${path}: ${body.length} bytes, ${ms} ms`);
  }
} finally {
  server.kill();
  rmSync(work, { recursive: true, force: true });
}
console.log(failed.length ? `${failed.length} failed: ${failed.join("; ")}` : `${count} passed`);
process.exit(failed.length ? 1 : 0);
