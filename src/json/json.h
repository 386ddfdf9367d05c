/* The front door of the room json: text of events ↔ values. Each unit's header states its promise.
 *   scan.h    validation, pull scanner      number.h  numbers ↔ text     string.h  strings ↔ text, writer dialects
 *   time.h    timestamps ↔ text             frame.h   streams → events, framing
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include "json/frame.h"
#include "json/number.h"
#include "json/scan.h"
#include "json/string.h"
#include "json/time.h"

#endif
