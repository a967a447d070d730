-- Has wrk put a bundle's bytes under a new key with every request: wrk ... -s put.lua URL/bucket -- FILE
local body, prefix, sent

function setup(thread)
   started = (started or 0) + 1
   thread:set("number", started)
end

function init(args)
   local file = assert(io.open(args[1], "rb"))
   body = file:read("*a")
   file:close()
   sent = 0
   -- A request is put together from strings, because wrk.format would build a table of headers for each.
   prefix = "PUT " .. wrk.path .. "/wrk/"
   body = ".zip HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function request()
   sent = sent + 1
   -- The 256 folders are those that certforge spreads its bundles over.
   return prefix .. string.format("%02x/%d-%08d", sent % 256, number, sent) .. body
end
