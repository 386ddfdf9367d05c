// Jackson, Gson and org.json over source lines on stdin: java -cp JARS Write.java FOLDER
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.*;

public class Write {
	interface Writer {
		String write(Map<String, Object> d) throws Exception;
	}

	static List<Map<String, Object>> docs = new ArrayList<>();
	static String folder;

	static void save(String name, Writer w) throws Exception {
		StringBuilder s = new StringBuilder();
		for (Map<String, Object> d : docs)
			s.append(w.write(d)).append('\n');
		Files.write(Path.of(folder, "java-" + name + ".json"), s.toString().getBytes(StandardCharsets.UTF_8));
	}

	@SuppressWarnings("unchecked")
	public static void main(String[] args) throws Exception {
		folder = args[0];
		ObjectMapper mapper = new ObjectMapper();
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
		for (String line; (line = in.readLine()) != null;) {
			Map<String, Object> d = mapper.readValue(line, LinkedHashMap.class);
			d.put("at", Instant.EPOCH.plus(((Number) d.get("at")).longValue(), ChronoUnit.MICROS).toString());
			docs.add(d);
		}
		Gson gson = new Gson(), plain = new GsonBuilder().disableHtmlEscaping().serializeNulls().create();
		Gson pretty = new GsonBuilder().setPrettyPrinting().create();
		ObjectMapper ascii = JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();
		ObjectMapper indent = JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();
		save("jackson", mapper::writeValueAsString);
		save("jackson-ascii", ascii::writeValueAsString);
		save("jackson-indent", indent::writeValueAsString);
		save("gson", gson::toJson);
		save("gson-pretty", pretty::toJson);
		save("gson-plain", plain::toJson);
		save("orgjson", d -> new org.json.JSONObject(d).toString());
		save("orgjson-indent", d -> new org.json.JSONObject(d).toString(2));
	}
}
