// The dashboard's own script: what a page can do beyond being read.
import { follow } from "./live.js";
import { steering } from "./steer.js";
import { theme } from "./theme-button.js";
import { timeline } from "./timeline.js";
import { tooltips } from "./tips.js";

theme();
tooltips();
timeline();
steering();
follow();
